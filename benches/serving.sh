#!/bin/bash
# What it costs a server to be recorded while it serves: processor time a request, latencies and throughput, of one process that is
# attached to and left again, beside heaptrack, in one run.
#
#     benches/serving.sh [REPETITIONS] [redis nginx java]
#
# In each repetition a server is started, and loaded as it is, attached to without stacks, attached to with all stacks, and after it
# was left; then heaptrack is attached, which leaves itself behind, so it comes last. The medians of all repetitions are
# printed. Processor time is that of the server's threads, as the kernel's scheduler counts it; the recorder's own is apart.
# The longest request is of a load during which the process was attached to and left. A row of "left" is of the server as it is
# after that: it and "bare" together are what is compared with, and differ by what the machine does else.
#
# REDIS=FILE is a redis-server built with the C library's malloc (make MALLOC=libc), with redis-benchmark beside it. What is
# not there is left out, and that is said. MALLOSCOPE=FILE measures that command instead of building one. REQUESTS=N makes the load
# N requests instead of some hundred thousand.
set -euo pipefail
cd "$(dirname "$0")/.."

repetitions=${1:-5}
shift || true
[ $# -gt 0 ] || set -- redis nginx java
work=$(mktemp -d)
server= tracker=
stop_all() {
    [ -z "$server" ] || kill "$server" 2>>"$work/quiet" || true
    rm -rf "$work"
}
trap stop_all EXIT

if [ -z "${MALLOSCOPE:-}" ]; then
    cargo build --quiet --release --package malloscope
    MALLOSCOPE=${CARGO_TARGET_DIR:-target}/release/malloscope
fi
malloscope=$(realpath "$MALLOSCOPE")
port=$((20000 + $$ % 10000))

has() { command -v "$1" >>"$work/quiet"; }

# Whether the server answers.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>>"$work/quiet"; }

# Processor time of the server's threads, in nanoseconds.
processor_time() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { print sum }'; }

# Of each service: whether it can be measured, how it is started, and its load, which writes requests a second, p50, p99 and
# the longest in milliseconds.
can_redis() { has "${REDIS:=redis-server}" && redis_benchmark=$(dirname "$(command -v "$REDIS")")/redis-benchmark && [ -x "$redis_benchmark" ]; }
start_redis() { "$REDIS" --port "$port" --save "" --logfile /dev/null >>"$work/quiet" 2>&1 & }
requests_redis=${REQUESTS:-400000}
load_redis() {
    "$redis_benchmark" -p "$port" -n $((requests_redis / 4)) -t set,lpush,hset,get -d 100 -r 100000 --csv 2>>"$work/quiet" | tr -d '"' |
        awk -F, 'NR > 1 { n++; seconds += 1 / $2; middle += $5; late += $7; if ($8 > most) most = $8 }
                 END { print n / seconds, middle / n, late / n, most }'
}

can_nginx() { has nginx && has ab; }
start_nginx() {
    mkdir -p "$work/nginx"
    seq 3000 >"$work/nginx/page.html"
    cat >"$work/nginx.conf" <<END
daemon off; master_process off; pid $work/nginx.pid; error_log /dev/null;
events { }
http { access_log off; gzip on; gzip_types *; gzip_comp_level 1; keepalive_requests 1000000; types { text/html html; }
       server { listen 127.0.0.1:$port; root $work/nginx; } }
END
    nginx -c "$work/nginx.conf" >>"$work/quiet" 2>&1 &
}
requests_nginx=${REQUESTS:-40000}
load_nginx() { load_http page.html "$requests_nginx"; }

can_java() { has java && has javac && has ab; }
start_java() {
    cat >"$work/Serve.java" <<'END'
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import java.util.zip.Deflater;

/** Compresses a page anew for each request: a deflater keeps its state in memory of malloc's. */
class Serve {
    public static void main(String[] arguments) throws Exception {
        StringBuilder text = new StringBuilder();
        for (int line = 0; line < 2000; line++) text.append(line).append(" lines of a page\n");
        byte[] page = text.toString().getBytes();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.createContext("/", exchange -> {
            Deflater deflater = new Deflater(1);
            deflater.setInput(page);
            deflater.finish();
            byte[] buffer = new byte[page.length];
            int length = deflater.deflate(buffer);
            deflater.end();
            exchange.sendResponseHeaders(200, length);
            exchange.getResponseBody().write(buffer, 0, length);
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(2));
        server.start();
    }
}
END
    [ -e "$work/Serve.class" ] || javac -d "$work" "$work/Serve.java"
    java -Dsun.net.httpserver.nodelay=true -Xmx256m -XX:+UseSerialGC -cp "$work" Serve "$port" >>"$work/quiet" 2>&1 &
}
requests_java=${REQUESTS:-40000}
load_java() { load_http "" "$requests_java"; }

load_http() {
    ab -q -k -c 8 -n "$2" -H 'Accept-Encoding: gzip' -e "$work/ab.csv" "http://127.0.0.1:$port/$1" >"$work/ab" 2>>"$work/quiet"
    awk '/^Requests per second/ { rate = $4 } /^ 100%/ { most = $2 } END { print rate, most }' "$work/ab" >"$work/ab.rate"
    awk -F, -v rate="$(cat "$work/ab.rate")" 'BEGIN { split(rate, all, " ") } $1 == 50 { middle = $2 } $1 == 99 { late = $2 }
        END { print all[1], middle, late, all[2] }' "$work/ab.csv"
}

requests() { local name=requests_$1; echo "${!name}"; }

# Loads the server: a row of what it took. The recorder, if there is one, is the third.
measure() {
    local service=$1 state=$2 recorder=${3:-} before own=0 row
    [ -z "$recorder" ] || own=$(processor_time "$recorder")
    before=$(processor_time "$server")
    row=$("load_$service")
    before=$(($(processor_time "$server") - before))
    [ -z "$recorder" ] || own=$(($(processor_time "$recorder") - own))
    awk -v n="$(requests "$service")" -v cpu="$before" -v own="$own" -v row="$row" \
        'BEGIN { print cpu / n / 1000, own / n / 1000, row }' >>"$work/$service.$state"
}

# Attaches the recorder for one load.
attach() {
    local service=$1 state=$2 recorder
    shift 2
    "$malloscope" record --pid "$server" "$@" -o "$work/one.mscope" 2>>"$work/$service.said" &
    recorder=$!
    until "$malloscope" record --status "$server" >>"$work/quiet" 2>&1; do sleep 0.05; done
    measure "$service" "$state" "$recorder"
    kill "$recorder"
    wait "$recorder"
    sed 's/,//g' "$work/$service.said" | sed -n 's/.*: \([0-9]*\) calls of .*/\1/p' | tail -n 1 |
        awk -v n="$(requests "$service")" '{ print $1 / n }' >>"$work/$service.$state.each"
    rm -f "$work"/one*.mscope
}

# Does something in the middle of a load, and notes the longest request of it.
amid_load() {
    local service=$1 noted=$2 load
    shift 2
    "load_$service" >"$work/$service.row" &
    load=$!
    sleep 0.3
    "$@"
    wait "$load"
    awk '{ print $4 }' "$work/$service.row" >>"$work/$service.$noted"
}

come_and_go() {
    "$malloscope" record --pid "$server" --for 300ms -o "$work/one.mscope" 2>>"$work/$1.said"
    rm -f "$work"/one*.mscope
}

# Attaches heaptrack. It ends with the server: left alone, it may crash that.
track() {
    heaptrack -r -o "$work/heaptrack" -p "$server" >"$work/tracker" 2>&1 &
    tracker=$!
    until grep -qs 'injection finished' "$work/tracker" || ! kill -0 "$tracker" 2>>"$work/quiet"; do sleep 0.05; done
}

middle() { sort -g | awk '{ all[NR] = $1 } END { if (NR) printf "%.4g", all[int((NR + 1) / 2)]; else printf "–" }'; }
column() { [ ! -e "$work/$1.$2" ] || awk -v at="$3" '{ print $at }' "$work/$1.$2"; }
milliseconds() { awk '{ print $2 == "s" ? $1 * 1000 : $2 == "µs" ? $1 / 1000 : $1 }'; }
said() { sed -n "s/.*$2 \([0-9.]* [^ ]*\) .*/\1/p" "$work/$1.said" | milliseconds | middle; }

rows() {
    local service=$1 state bare cpu
    bare=$({ column "$service" bare 1; column "$service" left 1; } | middle)
    for state in bare calls stacks left heaptrack; do
        cpu=$(column "$service" "$state" 1 | middle)
        [ "$cpu" != – ] || continue
        printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$service" "$state" \
            "$(column "$service" "$state.each" 1 | middle)" "$cpu" \
            "$(awk -v bare="$bare" -v cpu="$cpu" 'BEGIN { printf "%+.1f %%", 100 * (cpu / bare - 1) }')" \
            "$(column "$service" "$state" 2 | middle)" "$(column "$service" "$state" 3 | middle)" \
            "$(column "$service" "$state" 4 | middle)" "$(column "$service" "$state" 5 | middle)"
    done
    local longest
    longest=$(column "$service" longest 1 | middle)
    stalls+="| $service | $(said "$service" 'stood still for') | $(said "$service" 'attached to,') | $(said "$service" 'and for') "
    stalls+="| $({ column "$service" bare 6; column "$service" left 6; } | middle) | $longest | $(column "$service" heaptrack.longest 1 | middle) |"$'\n'
}

stalls=
measured=
for service in "$@"; do
    if ! "can_$service"; then
        echo "$service is not there, or what would load it: left out" >&2
        continue
    fi
    measured+=" $service"
    for _ in $(seq "$repetitions"); do
        "start_$service"
        server=$!
        until answers; do sleep 0.1; done
        "load_$service" >>"$work/quiet"
        measure "$service" bare
        attach "$service" calls
        attach "$service" stacks --stacks all
        measure "$service" left
        amid_load "$service" longest come_and_go "$service"
        if has heaptrack && has gdb; then
            amid_load "$service" heaptrack.longest track
            measure "$service" heaptrack
        fi
        kill "$server"
        wait "$server" || true
        [ -z "$tracker" ] || wait "$tracker" || true
        rm -f "$work"/heaptrack*
        server= tracker=
        port=$((port + 1))
    done
done

echo '| service | state | calls a request | server, µs a request | added | recorder, µs a request | requests a second | p50, ms | p99, ms |'
echo '|---|---|--:|--:|--:|--:|--:|--:|--:|'
for service in $measured; do rows "$service"; done
echo
echo '| service | attaching, ms | of it the heap, ms | leaving, ms | longest request, ms | with attaching and leaving, ms | with heaptrack attaching, ms |'
echo '|---|--:|--:|--:|--:|--:|--:|'
printf '%s' "$stalls"
