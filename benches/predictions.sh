#!/bin/sh
# Do predictions come true? Records real programs, predicts what other settings would do from the traces alone, runs the
# programs again under them, and prints the worst that any prediction was off. What is not installed is left out.
#
#     benches/predictions.sh [PROGRAM...]        xmllint sqlite3 perl git jq lua numpy ruby, or some of them
#
# A line for each program: settings tried, how many numbers of system calls were predicted and how many of them were the
# very number, and by how much faults, resident bytes at the peak and at the end were off at most.
set -eu
cd "$(dirname "$0")/.."
cargo build --release --quiet
malloscope=$PWD/target/release/malloscope
[ -z "${CARGO_TARGET_DIR:-}" ] || malloscope=$CARGO_TARGET_DIR/release/malloscope
repository=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is random in a program is not in its trace.
export PYTHONHASHSEED=0 PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0
cd "$work"

awk 'BEGIN {
    print "<root>"
    for (i = 0; i < 60000; i++) printf "<item id=\"%d\"><a>%d</a><b x=\"1\">text %d</b></item>\n", i, i * 7919 % 65521, i
    print "</root>"
}' > big.xml
awk 'BEGIN {
    printf "["
    for (i = 0; i < 40000; i++) printf "%s{\"id\":%d,\"v\":%d,\"l\":[1,2,3]}", i ? "," : "", i, i * 7919 % 65521
    print "]"
}' > big.json
cat > script.sql <<'END'
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i+1 from n where i<150000)
    insert into t select i, printf('row %d', i*7919%150000), i*1.5 from n;
create index tb on t(b);
select count(*), sum(length(b)) from t where b like '%9%';
select b, count(*) from t group by substr(b,1,5) order by 2 desc limit 5;
delete from t where a%3=0;
END
cat > script.pl <<'END'
my %h;
$h{"key$_"} = [$_, "v" x ($_ % 50)] for 1 .. 200000;
my @k = sort keys %h;
delete $h{$_} for @k[0 .. 100000];
my $s = join ",", @k;
my $t = $s x 3;
undef $t;
print length $s, "\n";
END
cat > script.lua <<'END'
local t = {}
for i = 1, 300000 do t[i] = {tostring(i), i * 2} end
local s = {}
for i = 1, #t do s[#s + 1] = t[i][1] end
print(#table.concat(s, ","))
END
cat > script.py <<'END'
import numpy as np
for i in range(3000):
    b = np.ones(20000 + (i * 37) % 300000)
    (b * 2 + b).sum()
END
cat > script.rb <<'END'
work = proc { a = []; 20000.times { |i| a << ("x" * (i % 200 + 10)); a.shift if a.size > 3000 } }
8.times.map { Thread.new(&work) }.each(&:join)
END

prove() {
    name=$1
    shift
    "$malloscope" record -o "$name.mscope" -- "$@" < /dev/null > /dev/null 2>&1 || return 0
    "$malloscope" prove "$name.mscope" --times "$times" --format csv \
        --set mmap_threshold=64K --set 'mmap_threshold=1M trim_threshold=1M' \
        --set 'mmap_threshold=32M trim_threshold=64M' --set top_pad=0 --set MALLOC_TOP_PAD_=131072 \
        --set mmap_max=0 --set tcache_count=0 --set mxfast=0 --set arena_max=1 -- "$@" > "$name.csv"
    awk -v name="$name" '
        NR == 1 { next }
        {
            # The name of a setting may have a comma in it; the last four fields have none, but for a comma in a name.
            n = split($0, field, ",")
            predicted = field[n - 2]; least = field[n - 1]; most = field[n]
            nearest = predicted < least ? least : predicted > most ? most : predicted
            off = nearest == predicted ? 0 : nearest ? 100 * (predicted - nearest) / nearest : 100
            if (off < 0) off = -off
        }
        /minor faults/ { if (off > faults) faults = off; settings++; next }
        /resident, peak/ { if (off > peak) peak = off; next }
        /resident, end/ { if (off > end) end = off; next }
        { calls++; if (off == 0) same++ }
        END {
            printf "%-8s %d settings  calls %d of %d  faults %.2f %%  peak %.2f %%  end %.2f %%\n",
                name, settings, same, calls, faults, peak, end
        }' "$name.csv"
}

times=1
for program in ${*:-xmllint sqlite3 perl git jq lua numpy ruby}; do
    case $program in
    xmllint) prove xmllint xmllint --noout big.xml ;;
    sqlite3) prove sqlite3 sqlite3 :memory: '.read script.sql' ;;
    perl) prove perl perl script.pl ;;
    git) prove git git -C "$repository" log -p -n 60 ;;
    jq) prove jq jq -c '[.[] | select(.id % 2 == 0)]' big.json ;;
    lua) prove lua "$(command -v lua5.4 || command -v lua || echo lua)" script.lua ;;
    numpy) prove numpy "$(command -v /usr/bin/python3 || command -v python3)" script.py ;;
    # Threads: what several real runs do is a range.
    ruby) times=5 && prove ruby ruby script.rb && times=1 ;;
    *) echo "predictions.sh: $program is none of those it knows" >&2 && exit 2 ;;
    esac
done
