-- wrk script: saves three annotations on one of many images, each thread on its own.
local images, body, key = {}, nil, os.getenv("BENCH_KEY")
for line in io.lines(os.getenv("BENCH_IMAGES")) do images[#images + 1] = line end
local counter = 0
function setup(thread) counter = counter + 1; thread:set("seed", counter) end
function init(args) math.randomseed(seed) end
local box = '{"id":"%d","name":"cell","type":"bbox","bounding_box":{"x":1.5,"y":2,"w":30,"h":40}}'
function request()
  local list = string.format(box .. "," .. box .. "," .. box, 1, 2, 3)
  return wrk.format("POST", "/api/v1/developer/annotations/" .. images[math.random(#images)],
    { ["X-API-Key"] = key, ["Content-Type"] = "application/json" }, '{"annotations":[' .. list .. "]}")
end
local failures = 0
function response(status) if status ~= 200 then failures = failures + 1 end end
function done(summary, latency)
  io.write(string.format("saves %.0f p99_ms %.2f errors %d\n", summary.requests / (summary.duration / 1e6), latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect))
end
