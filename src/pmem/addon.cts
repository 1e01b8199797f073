/**
 * Loads the native addon. CommonJS, because node-gyp-build wants a directory and `__dirname` is the one thing that is
 * the same in the sources, in the compiled package and for CommonJS consumers.
 */
import fs = require('node:fs')
import path = require('node:path')

/** The package root: the nearest directory above that holds binding.gyp, wherever this file was compiled to. */
function packageRoot(): string {
  let directory = __dirname
  while (!fs.existsSync(path.join(directory, 'binding.gyp'))) {
    const parent = path.dirname(directory)
    if (parent === directory) throw new Error(`no binding.gyp in any directory above ${__dirname}`)
    directory = parent
  }
  return directory
}

let loaded: unknown

/** The addon's exports; throws what node-gyp-build throws when there is no usable binary. */
function loadAddon(): unknown {
  if (loaded === undefined) {
    const nodeGypBuild = require('node-gyp-build') as (directory: string) => unknown
    loaded = nodeGypBuild(packageRoot())
  }
  return loaded
}

export = { loadAddon }
