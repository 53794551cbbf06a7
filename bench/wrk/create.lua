-- POST objects, each with a name of its own: NAME in the template is replaced.
dofile(os.getenv("BENCH_DIR") .. "/wrk/common.lua")

function prepare()
  local file = assert(io.open(os.getenv("BENCH_BODY"), "r"))
  local body = file:read("*a")
  file:close()
  local at, stop = body:find("NAME", 1, true)
  before, after = body:sub(1, at - 1), body:sub(stop + 1)
end

function request()
  count = count + 1
  local name = string.format("%s-%d-%d", run, id, count)
  return wrk.format("POST", nil, nil, before .. name .. after)
end
