// Objects that are made and destroyed before main, after it, and with threads.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

struct Keeper {
	std::map<int, std::string> kept;
	const char *name;

	explicit Keeper(const char *name) : name(name)
	{
		for (int i = 0; i < 500; i++)
			kept[i] = std::string(i, 'x');
	}

	~Keeper()
	{
		std::size_t total = 0;
		for (auto &each : kept)
			total += each.second.size();
		std::printf("%s: %zu\n", name, total);
		kept.clear();
		kept[0] = std::string(1000, 'y');
	}
};

static Keeper before("static");
static thread_local Keeper *late = nullptr;

struct alignas(256) Aligned {
	char bytes[256];
};

static void work()
{
	static thread_local Keeper mine("thread's own");
	static thread_local std::unique_ptr<Aligned> aligned(new Aligned);
	late = &mine;
	if (reinterpret_cast<std::size_t>(aligned.get()) % 256)
		std::puts("not aligned");
}

int main()
{
	std::atexit([] { std::puts("at exit"); delete new std::string(5000, 'z'); });
	for (int i = 0; i < 3; i++)
		std::thread(work).join();
	work();
	std::vector<std::thread> many;
	for (int i = 0; i < 8; i++)
		many.emplace_back([] {
			std::vector<std::string> strings;
			for (int k = 0; k < 3000; k++)
				strings.push_back(std::to_string(k * k));
		});
	for (auto &thread : many)
		thread.join();
	try {
		static volatile std::size_t much = static_cast<std::size_t>(-1) / 4;
		delete[] new char[much];
	} catch (const std::bad_alloc &) {
		std::puts("bad_alloc");
	}
	return 0;
}
