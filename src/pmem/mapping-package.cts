/**
 * Loads the optional peer dependency mmap-io. CommonJS for the same reason as addon.cts: `__filename` is the same in the
 * sources, in the compiled package and in the CommonJS bundle.
 */
import nodeModule = require('node:module')

/** Called when a pool is first opened portably, not before. */
function loadPackage(): unknown {
  // The `require` of a CommonJS module that was imported under a loader hook is not the real one, and node-pre-gyp needs that.
  return nodeModule.createRequire(__filename)('mmap-io') as unknown
}

export = { loadPackage }
