/**
 * What users get: the packed tarball, installed into an empty project, imported as ES module, required as CommonJS, and
 * seen by the TypeScript compiler under every way of resolving modules.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test as define } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'daxkv-package-'))
const project = join(folder, 'project')
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

// While the entry has nothing to use yet there is nothing to try.
const hasEntry = /\bopen\b/.test(readFileSync(join(root, 'src/index.ts'), 'utf8'))
const test = (name: string, body: () => void): void => {
  void define(name, { skip: hasEntry ? false : 'src/index.ts exports no `open` yet' }, body)
}

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
    'dist/pmem/addon.cjs',
    'dist/cli/main.js',
  ]) {
    assert.ok(packed.includes(path), `${path} is missing`)
  }
  const allowed =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|binding\.gyp|docs\/.*|native\/.*\.[ch]|prebuilds\/.*|dist\/.*\.(js|cjs|d\.ts|d\.cts))$/
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
`

for (const [module, resolution, files] of [
  ['node16', 'node16', ['types.mts', 'types.cts', 'required.cts']],
  ['nodenext', 'nodenext', ['types.mts', 'types.cts', 'required.cts']],
  ['esnext', 'bundler', ['types.mts', 'types.ts']],
] as const) {
  test(`its types are exact under moduleResolution ${resolution}`, () => {
    const imports = "import { open, DaxkvError } from 'daxkv'\nimport type { DaxkvErrorCode } from 'daxkv'\n"
    for (const file of ['types.mts', 'types.cts', 'types.ts'])
      writeFileSync(join(project, file), `${imports}${typed}export {}`)
    writeFileSync(
      join(project, 'required.cts'),
      `import daxkv = require('daxkv')\nconst { open, DaxkvError } = daxkv\ntype DaxkvError = daxkv.DaxkvError\ntype DaxkvErrorCode = daxkv.DaxkvErrorCode\n${typed}export {}`,
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
