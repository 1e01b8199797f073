// Makes a fresh clone ready, then runs the command given as arguments:
//
//   node scripts/bootstrap.mjs node --import tsx examples/package-index.ts
//
// Installs the dependencies if they are missing or other than the lock file says, builds the addon and dist/ if they
// are missing or older than their sources. Uses nothing but Node itself, and prints only what it does.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const say = (text) => process.stderr.write(`daxkv: ${text}\n`)

function fail(text) {
  say(text)
  process.exit(1)
}

/** Runs a step; its output goes to stderr, so that stdout belongs to the command. */
function step(what, command, args) {
  say(what)
  const { status, error } = spawnSync(command, args, { stdio: ['inherit', 2, 2], env: environment })
  if (error !== undefined) fail(`${what} failed: ${error.message}`)
  if (status !== 0) fail(`${what} failed, see above (exit code ${status})`)
}

/** Headers that came with this very Node save node-gyp a download. */
function localHeaders() {
  const prefix = dirname(dirname(process.execPath))
  const header = join(prefix, 'include/node/node_version.h')
  if (!existsSync(header)) return {}
  const text = readFileSync(header, 'utf8')
  const version = ['MAJOR', 'MINOR', 'PATCH'].map((part) => new RegExp(`NODE_${part}_VERSION (\\d+)`).exec(text)?.[1])
  return version.join('.') === process.versions.node ? { npm_config_nodedir: prefix } : {}
}

const environment = { ...localHeaders(), ...process.env }

function newest(paths) {
  let time = 0
  for (const path of paths) {
    if (!existsSync(path)) continue
    const stat = statSync(path)
    if (!stat.isDirectory()) time = Math.max(time, stat.mtimeMs)
    else time = Math.max(time, newest(readdirSync(path).map((name) => join(path, name))))
  }
  return time
}

const isOlder = (product, sources) => !existsSync(product) || statSync(product).mtimeMs < newest(sources)

/** Compares the lock file with npm's own record of what it installed. */
function dependenciesAreCurrent() {
  const record = 'node_modules/.package-lock.json'
  if (!existsSync(record)) return false
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  return Object.entries(wanted).every(
    ([path, { version, optional, devOptional }]) =>
      path === '' || optional || devOptional || installed[path]?.version === version,
  )
}

let toolsChecked = false

/** One sentence instead of a page of node-gyp. */
function needCompiler() {
  if (toolsChecked) return
  toolsChecked = true
  const missing = [
    ['npm', 'npm'],
    ['python3', 'python3'],
    ['make', 'make'],
    ['g++', process.env.CXX ?? 'g++'],
  ].filter(([, command]) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status !== 0)
  if (missing.length === 0) return
  const names = missing.map(([name]) => name).join(', ')
  fail(
    `building the native addon needs ${names}, which this machine lacks; on Debian or Ubuntu run: ` +
      'sudo apt-get install -y nodejs npm python3 make g++',
  )
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  fail(`Node.js 20 or newer is needed, this is ${process.versions.node}`)
}
const addonSources = ['binding.gyp', 'native']
const addon = 'build/Release/daxkv.node'
if (!dependenciesAreCurrent()) {
  needCompiler()
  const fresh = !existsSync('node_modules')
  step('installing dependencies', 'npm', [fresh ? 'ci' : 'install', '--no-audit', '--no-fund'])
}
// Elsewhere the portable executor runs.
if (process.platform === 'linux' && isOlder(addon, addonSources)) {
  needCompiler()
  step('building the native addon', 'npm', ['run', '--silent', 'build:native'])
}
if (
  isOlder('dist/.built', [
    'src',
    'crash-tests/src',
    'scripts/build.mjs',
    'tsconfig.json',
    'tsconfig.build.json',
    'package.json',
  ])
) {
  step('building dist', process.execPath, ['scripts/build.mjs'])
}

const [command, ...args] = process.argv.slice(2)
if (command !== undefined) {
  const { status, signal, error } = spawnSync(command === 'node' ? process.execPath : command, args, {
    stdio: 'inherit',
  })
  if (error !== undefined) fail(error.message)
  if (signal !== null) process.kill(process.pid, signal)
  process.exit(status ?? 1)
}
