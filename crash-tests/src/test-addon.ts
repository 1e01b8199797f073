import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Plugin } from 'esbuild'
import { ROOT } from './bundle.js'

const CACHE = join(ROOT, 'node_modules', '.cache', 'daxkv-crash-tests')
const REPLACED = "'native/syscalls.c'"

/**
 * Builds the test build of the addon: the production sources with crash-tests/native/faulty-syscalls.c in the place of
 * native/syscalls.c, in a directory of its own. Kept under a name made of its sources, so that it is compiled once.
 * Returns its path, or why it cannot be had.
 */
export function buildTestAddon(): { readonly path: string } | { readonly missing: string } {
  const sources = [join(ROOT, 'binding.gyp'), ...files('native'), ...files('crash-tests/native')]
  const hash = createHash('sha1')
  for (const source of sources) hash.update(basename(source)).update(readFileSync(source))
  const path = join(CACHE, `daxkv-faults-${hash.digest('hex').slice(0, 16)}-${process.versions.modules}.node`)
  if (existsSync(path)) return { path }
  const missing = ['python3', 'make', process.env['CXX'] ?? 'g++'].filter(
    (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status !== 0,
  )
  if (missing.length > 0) return { missing: `building the addon's test build needs ${missing.join(', ')}` }
  compile(path)
  return { path }
}

function files(directory: string): string[] {
  return readdirSync(join(ROOT, directory))
    .filter((name) => /\.[ch]$/.test(name))
    .sort()
    .map((name) => join(ROOT, directory, name))
}

/** The production build file with one source exchanged, so that no list of sources is kept twice. */
function compile(path: string): void {
  mkdirSync(CACHE, { recursive: true })
  // Others may be compiling at the same time: everybody in a directory of their own, the last one to finish wins.
  const directory = mkdtempSync(join(CACHE, 'addon-'))
  try {
    const production = readFileSync(join(ROOT, 'binding.gyp'), 'utf8')
    if (!production.includes(REPLACED)) throw new Error(`binding.gyp does not name ${REPLACED}`)
    const replaced = production
      .replace(REPLACED, "'faulty/faulty-syscalls.c'")
      .replace("'defines': [", "'include_dirs': ['native'], 'defines': ['DAXKV_TEST_BUILD', ")
    // gyp wants sources below its own directory.
    symlinkSync(join(ROOT, 'native'), join(directory, 'native'))
    symlinkSync(join(ROOT, 'crash-tests', 'native'), join(directory, 'faulty'))
    writeFileSync(join(directory, 'binding.gyp'), replaced)
    const gyp = join(ROOT, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js')
    const built = spawnSync(process.execPath, [gyp, 'rebuild', '--silent', '-C', directory], {
      encoding: 'utf8',
      env: { ...localHeaders(), ...process.env },
    })
    if (built.status !== 0) throw new Error(`the addon's test build failed:\n${built.stdout}${built.stderr}`)
    renameSync(join(directory, 'build', 'Release', 'daxkv.node'), path)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Headers that came with this very Node save node-gyp a download; see scripts/bootstrap.mjs. */
function localHeaders(): NodeJS.ProcessEnv {
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include/node/node_version.h')) ? { npm_config_nodedir: prefix } : {}
}

/** For `bundle`: the store in the bundle loads this addon and no other. */
export function withAddon(path: string): Plugin {
  return {
    name: 'addon',
    setup(bundler) {
      bundler.onLoad({ filter: /src\/pmem\/addon\.cts$/ }, () => ({
        contents:
          `const { createRequire } = require('node:module')\nconst path = ${JSON.stringify(path)}\n` +
          'module.exports = { loadAddon: () => createRequire(path)(path) }\n',
        loader: 'js',
      }))
    },
  }
}
