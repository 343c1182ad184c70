//! The settings that people hand on to each other, by the names of those who do.

use crate::sizes;
use malloscope_allocator::tunables::Tunable;

/// A set of settings that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// What platforms set for Ruby.
    Ruby,
    /// What Hadoop and others set for the Java machine.
    Hadoop,
    /// What is said to give memory back.
    ReturnMemory,
    /// What supercomputers are set to.
    Hpc,
    /// What takes few page faults with large blocks.
    LowFault,
    /// glibc as it is, whatever the environment says.
    Stock,
}

impl Recipe {
    /// Every one.
    pub const ALL: [Recipe; 6] =
        [Recipe::Ruby, Recipe::Hadoop, Recipe::ReturnMemory, Recipe::Hpc, Recipe::LowFault, Recipe::Stock];

    /// How the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Recipe::Ruby => "ruby",
            Recipe::Hadoop => "hadoop",
            Recipe::ReturnMemory => "return-memory",
            Recipe::Hpc => "hpc",
            Recipe::LowFault => "low-fault",
            Recipe::Stock => "stock",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Recipe::Ruby => "What platforms set for Ruby: arena_max=2.",
            Recipe::Hadoop => "What Hadoop sets for Java: arena_max=4.",
            Recipe::ReturnMemory => {
                "What is said to give memory back: mmap_threshold=128K, trim_threshold=128K, arena_max=2."
            }
            Recipe::Hpc => "What supercomputers are set to: mmap_max=0, trim_threshold=-1.",
            Recipe::LowFault => "Few page faults with large blocks: mmap_threshold=32M, trim_threshold=64M.",
            Recipe::Stock => "glibc as it is: nothing set, whatever the environment said.",
        }
    }

    /// The tunables that it sets.
    pub fn settings(self) -> &'static [(&'static str, u64)] {
        match self {
            Recipe::Ruby => &[("arena_max", 2)],
            Recipe::Hadoop => &[("arena_max", 4)],
            Recipe::ReturnMemory => {
                &[("mmap_threshold", 128 << 10), ("trim_threshold", 128 << 10), ("arena_max", 2)]
            }
            Recipe::Hpc => &[("mmap_max", 0), ("trim_threshold", u64::MAX)],
            Recipe::LowFault => &[("mmap_threshold", 32 << 20), ("trim_threshold", 64 << 20)],
            Recipe::Stock => &[],
        }
    }

    /// The tunables that are as if the environment did not set them.
    pub fn unset(self) -> impl Iterator<Item = &'static str> {
        Tunable::all().filter(move |_| self == Recipe::Stock).map(Tunable::name)
    }

    /// What a run of it is called.
    pub fn run_name(self) -> String {
        format!("recipe {}", self.name())
    }

    /// Name and settings in one line: `ruby: arena_max=2`.
    pub fn line(self) -> String {
        let setting = |(name, value): &(&str, u64)| format!("{name}={}", sizes::shortest(*value));
        let settings: Vec<String> = self.settings().iter().map(setting).collect();
        let what = if settings.is_empty() { "nothing set".to_owned() } else { settings.join(", ") };
        format!("{}: {what}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recipe_says_it_sets_is_what_it_sets() {
        for recipe in Recipe::ALL {
            for (name, value) in recipe.settings() {
                assert!(Tunable::named(name).is_some(), "{name}");
                assert!(recipe.meaning().contains(&format!("{name}={}", sizes::shortest(*value))), "{name}");
            }
        }
        assert!(Recipe::Stock.unset().any(|name| name == "top_pad"));
        assert_eq!(Recipe::Ruby.unset().count(), 0);
    }
}
