#!/bin/sh
# Records the samples anew, into the folder given. Their bytes then differ: they keep what was recorded once.
#     traces/samples/record.sh target/release/malloscope /tmp/samples
set -eu
malloscope=$1
into=$2
here=$(dirname "$0")
mkdir -p "$into"

record() {
    name=$1
    shift
    "$malloscope" record -o "$into/$name.mscope" -- "$@" >/dev/null
}

# Small objects of one thread: a document built, written and parsed.
export PYTHONMALLOC=malloc
record json /usr/bin/python3 -s -S -c '
import json
rows = [{"id": i, "name": "row %d" % i, "tags": ["a"] * (i % 5)} for i in range(1500)]
print(len(json.loads(json.dumps(rows))))'
unset PYTHONMALLOC

# Many threads that hand each other what they allocate, and exit one after another.
cc -O2 -pthread -o "$into/handing" "$here/handing.c"
record threads "$into/handing" 16 1500
rm "$into/handing"

# Large buffers: mappings of their own, until the dynamic threshold has grown past them.
record mappings /usr/bin/python3 -s -S -c '
r = 7
held = []
for i in range(4000):
    r = (r * 1103515245 + 12345) % 2**31
    held.append(bytearray(60000 + r % 900000))
    if len(held) > 12:
        held.pop(r % 12)'

# The program break goes up and down at the trim threshold.
record oscillation perl -e '
for my $i (1 .. 3000) { my @rows = map { "x" x (50_000 + ($i * 7919 + $_ * 104729) % 60_000) } 1 .. 6; }'

# A few late allocations keep the program break up when all else below is free.
record pinned perl -e '
my %h; $h{$_} = "v" x ($_ % 200) for 1 .. 30000;
my @last = map { "keep $_" } 1 .. 50;
undef %h;
my @again = map { "w" x 90 } 1 .. 2000;'

# Pairs that point at each other are never freed.
record leak perl -e '
for my $i (1 .. 20000) { my $a = { name => "n$i" }; my $b = { other => $a }; $a->{other} = $b; }'

# Three threads, mappings and little else.
seq 300000 >"$into/numbers"
record xz xz -T2 -1 -c --block-size=1MiB "$into/numbers"
rm "$into/numbers"

# A database in memory.
record sqlite sqlite3 :memory: '
create table t(a, b);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 1500) insert into t select x, x * x from c;
create index i on t(b);
select count(*) from t t1 join t t2 on t1.a = t2.b;'
