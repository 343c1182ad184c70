# The calls of calls.c twice, and some of Python's own, for memray to write down:
#     cc -shared -fPIC -o calls.so calls.c -lpthread
#     run="exec(compile(open('calls.py').read(), 'calls.py', 'exec'))"
#     python3 -c "$run" calls.memray
#     python3 -c "$run" native.memray native
#     python3 -c "$run" pymalloc.memray python
#     PYTHONMALLOC=malloc python3 -c "$run" malloc.memray python
# With memray 1.20; old.memray is what 1.19 wrote for the first.
import ctypes, sys
from memray import Tracker

library = ctypes.CDLL("./calls.so")


def inner():
    library.main()


def outer():
    inner()
    inner()


def own():
    kept = [bytes(600), bytes(30), bytearray(10)]
    kept[2].extend(bytes(700))
    kept[2].extend(bytes(900))
    kept[2][20:] = b""
    del kept


with Tracker(sys.argv[1], native_traces="native" in sys.argv, trace_python_allocators="python" in sys.argv):
    outer()
    own()
