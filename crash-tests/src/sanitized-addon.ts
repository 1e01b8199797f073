/** The addon built with AddressSanitizer and UndefinedBehaviorSanitizer, apart from the one that is in use. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from './bundle.js'

export interface SanitizedAddon {
  /** Environment in which a node process loads the sanitized addon instead of the normal one. */
  readonly env: NodeJS.ProcessEnv
}

/** Builds the addon; a sentence saying why not where that is impossible here. */
export function buildSanitized(): SanitizedAddon | string {
  const compiler = process.env['CC'] ?? 'cc'
  const runtime = findRuntime(compiler)
  if (runtime === undefined) return `skipped: the compiler ${compiler} has no AddressSanitizer and UBSan libraries`
  const headers = findHeaders()
  if (headers === undefined) return 'skipped: no headers of this Node.js (node_api.h) were found'
  // node-gyp-build looks for build/Release below the directory that DAXKV_PREBUILD names.
  const directory = join(ROOT, 'build', 'sanitized')
  const output = join(directory, 'build', 'Release')
  mkdirSync(output, { recursive: true })
  const sources = readdirSync(join(ROOT, 'native'))
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(ROOT, 'native', name))
  const flags = [
    '-std=c11',
    '-O1',
    '-g',
    '-fPIC',
    '-shared',
    '-pthread',
    '-fno-omit-frame-pointer',
    '-D_GNU_SOURCE',
    '-DNAPI_VERSION=8',
  ]
  const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-Wl,-z,nodelete']
  const target = ['-o', join(output, 'daxkv.node'), ...sources]
  const { status, stderr } = spawnSync(
    compiler,
    [...flags, ...sanitizers, `-I${headers}`, '-DNODE_GYP_MODULE_NAME=daxkv', ...target],
    {
      encoding: 'utf8',
    },
  )
  if (status !== 0) throw new Error(`the addon does not compile with sanitizers:\n${stderr}`)
  return proven({
    env: {
      ...process.env,
      DAXKV_PREBUILD: directory,
      LD_PRELOAD: runtime,
      // SIGSEGV and SIGBUS belong to the addon and to V8, leaks to a runtime that ends without freeing.
      ASAN_OPTIONS:
        'detect_leaks=0:handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1:use_sigaltstack=0:abort_on_error=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    },
  })
}

/** Sanitizers that are not there find nothing: the addon loaded must be ours, and the runtime in the process. */
function proven(addon: SanitizedAddon): SanitizedAddon {
  const script =
    "require('node-gyp-build')(process.argv[1]);const maps=require('fs').readFileSync('/proc/self/maps','latin1');" +
    "process.stdout.write(String(maps.includes('build/sanitized/')&&maps.includes('libasan')))"
  const run = spawnSync(process.execPath, ['-e', script, ROOT], { cwd: ROOT, env: addon.env, encoding: 'utf8' })
  if (run.stdout === 'true') return addon
  throw new Error(`the sanitized addon could not be loaded: ${run.stdout} ${run.stderr}`)
}

/** Shared library of AddressSanitizer, which must be loaded before everything else. */
function findRuntime(compiler: string): string | undefined {
  for (const name of ['libubsan.so', 'libasan.so']) {
    const { stdout, status } = spawnSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' })
    const path = status === 0 ? stdout.trim() : ''
    if (!path.startsWith('/') || !existsSync(path)) return undefined
    if (name === 'libasan.so') return path
  }
  return undefined
}

/** The directory of node_api.h: beside this very node, or where node-gyp has unpacked it. */
function findHeaders(): string | undefined {
  const gypConfig = join(ROOT, 'build', 'config.gypi')
  const nodedir = existsSync(gypConfig) ? /"nodedir": "([^"]+)"/.exec(readFileSync(gypConfig, 'utf8'))?.[1] : undefined
  const candidates = [dirname(dirname(process.execPath)), ...(nodedir === undefined ? [] : [nodedir])]
  return candidates
    .map((prefix) => join(prefix, 'include', 'node'))
    .find((path) => existsSync(join(path, 'node_api.h')))
}
