// Loaded before everything else in each Node process of the devnet.

// Node 20 has no Promise.withResolvers; packages below Lodestar use it.
if (!Promise.withResolvers) {
  Promise.withResolvers = function () {
    let resolve, reject;
    const promise = new this((yes, no) => {
      resolve = yes;
      reject = no;
    });
    return {promise, resolve, reject};
  };
}

// The devnet may be killed without a chance to end its children: a process whose parent is gone ends itself.
if (require("node:worker_threads").isMainThread) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
  }, 1000).unref();
}
