-- GET one object again and again: the path is in the URL.
dofile(os.getenv("BENCH_DIR") .. "/wrk/common.lua")
