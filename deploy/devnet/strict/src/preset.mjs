// Settings that must stand before any Lodestar library is loaded: import this first.

// Sizes of containers. Read once, when @lodestar/params is loaded.
process.env.LODESTAR_PRESET ??= "minimal";

// Node 20 has no Promise.withResolvers; packages below Lodestar use it.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return {promise, resolve, reject};
};
