-- wrk script of the mixed load: BENCH_MODE reads or saves the annotations of one of many images, with one of many keys (each has its hourly limit).
local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end
local images, keys, mode = lines(os.getenv("BENCH_IMAGES")), lines(os.getenv("BENCH_KEYS")), os.getenv("BENCH_MODE")
local box = '{"id":"%d","name":"cell","type":"bbox","bounding_box":{"x":1.5,"y":2,"w":30,"h":40}}'
local list = {}
for i = 1, 3 do list[i] = string.format(box, i) end
local body, turn = '{"annotations":[' .. table.concat(list, ",") .. "]}", 0
function request()
  turn = turn + 1
  local path, headers = "/api/v1/developer/annotations/" .. images[math.random(#images)], { ["X-API-Key"] = keys[turn % #keys + 1] }
  if mode == "read" then return wrk.format("GET", path, headers) end
  headers["Content-Type"] = "application/json"
  return wrk.format("POST", path, headers, body)
end
function done(summary, latency)
  io.write(string.format("rate %.0f p99_ms %.2f errors %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect))
end
