/**
 * What users get: the packed tarball, installed into an empty project, imported as ES module, required as CommonJS, and
 * seen by the TypeScript compiler under every way of resolving modules.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import type { SpawnSyncReturns } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'daxkv-package-'))
const project = join(folder, 'project')
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

const run = (command: string, args: readonly string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const runNode = (file: string): string => run(process.execPath, [file], project)
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

let tarball = ''
let packed: string[] = []

test('the tarball holds what is needed and nothing else', () => {
  if (!existsSync(join(root, 'dist/.built'))) run(process.execPath, ['scripts/build.mjs'], root)
  const json = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root)
  const [{ filename, files }] = JSON.parse(json) as [{ filename: string; files: { path: string }[] }]
  tarball = join(folder, filename)
  packed = files.map(({ path }) => path)
  for (const path of [
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'binding.gyp',
    'native/addon.c',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/cjs/index.cjs',
    'dist/cjs/index.d.cts',
    'dist/crash-kit/index.js',
    'dist/crash-kit/index.d.ts',
    'dist/cjs/crash-kit.cjs',
    'dist/cjs/crash-kit/index.d.cts',
    'dist/pmem/addon.cjs',
    'dist/pmem/mapping-package.cjs',
    'scripts/install.mjs',
    'dist/cli/main.js',
  ]) {
    assert.ok(packed.includes(path), `${path} is missing`)
  }
  const allowed =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|binding\.gyp|scripts\/install\.mjs|docs\/.*|native\/.*\.[ch]|prebuilds\/.*|dist\/.*\.(js|cjs|d\.ts|d\.cts))$/
  assert.deepEqual(
    packed.filter((path) => !allowed.test(path)),
    [],
  )
  const sources = read('binding.gyp').match(/native\/[\w-]+\.c/g) ?? []
  assert.deepEqual(
    sources.filter((path) => !packed.includes(path)),
    [],
  )
})

test('it installs into an empty project and builds its addon', () => {
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], project)
  assert.ok(existsSync(join(project, 'node_modules/daxkv/package.json')))
  assert.equal(existsSync(join(project, 'node_modules/mmap-io')), false, 'the optional peer is not installed')
})

const job = `
const { name } = new DaxkvError('INTERNAL', 'x')
if (name !== 'DaxkvError') throw new Error(name)
for (const path of [':memory:', process.argv[1] + '.pool']) {
  let store = open(path)
  store.put('ada', { age: 36 })
  store.transaction(() => store.keyspace('other').put(7, [1, 2]))
  if (path !== ':memory:') {
    store.close()
    store = open(path)
  }
  console.log(JSON.stringify([store.get('ada'), store.keyspace('other').get(7)]))
  store.close()
}
`
const expected = '[{"age":36},[1,2]]\n'.repeat(2)

test('an ES module can import it', () => {
  writeFileSync(join(project, 'main.mjs'), `import { open, DaxkvError } from 'daxkv'\n${job}`)
  assert.equal(runNode('main.mjs'), expected)
})

test('a CommonJS module can require it and use it at once', () => {
  writeFileSync(join(project, 'main.cjs'), `const { open, DaxkvError } = require('daxkv')\n${job}`)
  assert.equal(runNode('main.cjs'), expected)
})

const crashJob = `
const check = (store) => store.get('ada') + store.get('bob') === 10
const setup = (store) => { store.put('ada', 10); store.put('bob', 0) }
const workload = (store) => { store.put('ada', 9); store.put('bob', 1) }
const careful = (store) => store.transaction(() => workload(store))
const options = { setup, check, models: ['kill'] }
crashTest({ ...options, workload: careful })
  .then(({ ok }) => { console.log(ok); return crashTest({ ...options, workload }) })
  .catch((error) => {
    const { call } = error.failure.transactions[0]
    console.log(error instanceof CrashTestError, call.sites[0].functionName, error.failure.kind)
    return crashTest({ ...options, workload: (store) => store.put('', undefined) })
  })
  // Of the library, not a copy of it that the kit brings along.
  .catch((error) => console.log(error instanceof DaxkvError))
`

test('the crash kit works as an ES module and as a CommonJS module, on the same library', () => {
  const imported = "import { crashTest, CrashTestError } from 'daxkv/crash-kit'\nimport { DaxkvError } from 'daxkv'\n"
  writeFileSync(join(project, 'crash.mjs'), imported + crashJob)
  const required =
    "const { crashTest, CrashTestError } = require('daxkv/crash-kit')\nconst { DaxkvError } = require('daxkv')\n"
  writeFileSync(join(project, 'crash.cjs'), required + crashJob)
  for (const file of ['crash.mjs', 'crash.cjs']) assert.equal(runNode(file), 'true\ntrue workload check\ntrue\n', file)
})

test('the main entry does not load the crash kit', () => {
  writeFileSync(
    join(project, 'loaded.cjs'),
    "require('daxkv')\nconsole.log(Object.keys(require.cache).filter((path) => path.includes('crash-kit')).length)",
  )
  assert.equal(runNode('loaded.cjs'), '0\n')
  const loaded = /^(?:import|export) .* from '(.*)'/gm
  const seen = new Set<string>()
  const follow = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    for (const [, path] of read(file).matchAll(loaded)) if (path.startsWith('.')) follow(join(file, '..', path))
  }
  follow('dist/index.js')
  assert.ok(seen.has('dist/tx/engine.js'))
  assert.deepEqual(
    [...seen].filter((file) => file.includes('crash-kit')),
    [],
  )
})

test('both forms export the same names', () => {
  const print =
    'console.log(JSON.stringify(Object.keys(daxkv).filter((name) => name !== "default" && name !== "module.exports").sort()))'
  writeFileSync(join(project, 'names.mjs'), `import * as daxkv from 'daxkv'\n${print}`)
  writeFileSync(join(project, 'names.cjs'), `const daxkv = require('daxkv')\n${print}`)
  const names = (text: string): string[] => (JSON.parse(text) as string[]).filter((name) => name !== 'ready')
  assert.deepEqual(names(runNode('names.cjs')), names(runNode('names.mjs')))
})

test('an unknown subpath is not exported', () => {
  writeFileSync(join(project, 'deep.mjs'), "import 'daxkv/dist/index.js'")
  assert.throws(() => runNode('deep.mjs'), /ERR_PACKAGE_PATH_NOT_EXPORTED/)
})

test('the command line is installed', () => {
  const text = run(join(project, 'node_modules/.bin/daxkv'), ['--version'], project)
  const { version } = JSON.parse(read('package.json')) as { version: string }
  assert.ok(text.includes(version), text)
})

const typed = `
interface User { name: string; age?: number }
const store = open('users.pool', { readOnly: false })
const users = store.keyspace<string, User>('users')
users.put('ada', { name: 'Ada' })
const user: User | undefined = users.get('ada')
const bytes = store.keyspace('b', { keyEncoding: 'uint32', valueEncoding: 'binary' })
const value: Buffer | undefined = bytes.get(7)
const result: number = store.transaction(() => 5)
for (const [key, row] of users.range({ gte: 'a', limit: 10 })) {
  const k: string = key
  const r: User = row
  void [k, r]
}
const failure: DaxkvError = new DaxkvError('CLOSED', 'closed')
const code: DaxkvErrorCode = failure.code
void [user, value, result, code, store.persistence.granularity]
store.close()
// @ts-expect-error a key of another type
users.put(5, { name: 'Ada' })
// @ts-expect-error a value of another type
users.put('ada', { nam: 'Ada' })
// @ts-expect-error a misspelt option
open('users.pool', { readonly: true })
const crashes: Promise<CrashTestResult> = crashTest<string, User>({
  setup: (pool) => { pool.put('ada', { name: 'Ada' }) },
  workload: (pool) => pool.transaction(() => { pool.put('bob', { name: 'Bob' }) }),
  check: (pool) => pool.get('ada')?.name === 'Ada',
  models: ['page'],
})
void crashes
// @ts-expect-error a model that does not exist
void crashTest({ workload: () => 0, check: () => true, models: ['flood'] })
// @ts-expect-error a value of another type
void crashTest<string, User>({ workload: (pool) => { pool.put('ada', 5) }, check: () => true })
`

for (const [module, resolution, files] of [
  ['node16', 'node16', ['types.mts', 'types.cts', 'required.cts']],
  ['nodenext', 'nodenext', ['types.mts', 'types.cts', 'required.cts']],
  ['esnext', 'bundler', ['types.mts', 'types.ts']],
] as const) {
  test(`its types are exact under moduleResolution ${resolution}`, () => {
    const imports =
      "import { open, DaxkvError } from 'daxkv'\nimport type { DaxkvErrorCode } from 'daxkv'\n" +
      "import { crashTest } from 'daxkv/crash-kit'\nimport type { CrashTestResult } from 'daxkv/crash-kit'\n"
    for (const file of ['types.mts', 'types.cts', 'types.ts'])
      writeFileSync(join(project, file), `${imports}${typed}export {}`)
    writeFileSync(
      join(project, 'required.cts'),
      `import daxkv = require('daxkv')\nconst { open, DaxkvError } = daxkv\ntype DaxkvError = daxkv.DaxkvError\ntype DaxkvErrorCode = daxkv.DaxkvErrorCode\nimport kit = require('daxkv/crash-kit')\nconst { crashTest } = kit\ntype CrashTestResult = kit.CrashTestResult\n${typed}export {}`,
    )
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module,
          moduleResolution: resolution,
          target: 'ES2022',
          lib: ['ES2023', 'ESNext.Disposable'],
          strict: true,
          exactOptionalPropertyTypes: true,
          // The point: our declarations are checked, in both forms.
          skipLibCheck: false,
          noEmit: true,
          types: ['node'],
          typeRoots: [join(root, 'node_modules/@types')],
        },
        files,
      }),
    )
    try {
      run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project)
    } catch (error) {
      assert.fail((error as { stdout: string }).stdout)
    }
  })
}

// The last tests: they take the addon away.
const withoutAddon = (name: string, body: () => void): void => {
  test(name, () => {
    for (const folder of ['build', 'prebuilds']) {
      rmSync(join(project, 'node_modules/daxkv', folder), { recursive: true, force: true })
    }
    body()
  })
}

const portableJob = `
const path = process.argv[1] + '.portable.pool'
let store = open(path)
store.put('ada', { age: 36 })
store.close()
store = open(path)
console.log(JSON.stringify([store.get('ada'), store.persistence.executor, store.check().ok]))
console.log(store.persistence.reason)
store.close()
`

withoutAddon('without the addon it is imported, keeps memory stores, and says what a file needs', () => {
  const use = `
    const memory = open(':memory:')
    memory.put('a', 1)
    console.log(memory.get('a'))
    try { open('never.pool') } catch (error) { console.log(error.code, error.message) }
    try { open('never.pool', { executor: 'portable' }) } catch (error) { console.log(error.code, error.message) }`
  writeFileSync(join(project, 'none.mjs'), `import { open } from 'daxkv'\n${use}`)
  writeFileSync(join(project, 'none.cjs'), `const { open } = require('daxkv')\n${use}`)
  for (const file of ['none.mjs', 'none.cjs']) {
    const [value, automatic, asked] = runNode(file).split('\n')
    assert.equal(value, '1')
    assert.match(automatic, /^NATIVE_UNAVAILABLE .*npm rebuild daxkv.*npm install mmap-io@npm:@riaskov\/mmap-io/)
    assert.match(asked, /^PORTABLE_UNAVAILABLE .*mmap-io, which is not installed.*npm install mmap-io@npm/)
  }
  assert.equal(existsSync(join(project, 'never.pool')), false)
})

withoutAddon('without the addon it uses mmap-io where that is installed, and says so once', () => {
  symlinkSync(realpathSync(join(root, 'node_modules/mmap-io')), join(project, 'node_modules/mmap-io'))
  writeFileSync(join(project, 'portable.mjs'), `import { open } from 'daxkv'\n${portableJob}`)
  writeFileSync(join(project, 'portable.cjs'), `const { open } = require('daxkv')\n${portableJob}`)
  for (const file of ['portable.mjs', 'portable.cjs']) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [file], { cwd: project, encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    const [row, reason] = stdout.split('\n')
    assert.equal(row, '[{"age":36},"portable",true]')
    assert.match(reason, /the native addon could not be loaded/)
    assert.equal(stderr.match(/DAXKV_PORTABLE/g)?.length, 1, stderr)
  }
})

test('a machine that cannot compile still installs the package, unless a build was asked for', () => {
  const folder = join(project, 'node_modules/daxkv')
  rmSync(join(folder, 'build'), { recursive: true, force: true })
  // No python3, make or compiler on this path: only what npm itself puts there.
  const environment = { ...process.env, PATH: join(project, 'node_modules/.bin'), npm_config_nodedir: folder }
  const install = (extra: Record<string, string>): SpawnSyncReturns<string> =>
    spawnSync(process.execPath, ['scripts/install.mjs'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...environment, ...extra },
    })
  const quiet = install({})
  assert.equal(quiet.status, 0, quiet.stderr)
  assert.match(quiet.stderr, /daxkv: the native addon could not be built.*npm install mmap-io@npm/)
  assert.notEqual(install({ npm_config_build_from_source: 'true' }).status, 0)
})
