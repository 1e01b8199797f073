/**
 * Runs what the documentation shows: every block marked `ts runnable` or `js runnable`, word for word, in an empty directory of its
 * own where the package `daxkv` is this source tree. A `text output` block right behind one is what it must print.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { formatWithOptions } from 'node:util'
import { allDocuments, codeBlocks, root } from './markdown.js'

interface Snippet {
  readonly name: string
  readonly folder: string
  readonly file: string
  readonly output: string | undefined
}

const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'daxkv-snippets-'))
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

function write(path: string, content: string): void {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
}

/** The package as a user's project finds it, made of the sources. */
function installPackage(): void {
  const entry = JSON.stringify(pathToFileURL(join(root, 'src/index.ts')).href)
  const home = join(folder, 'node_modules/daxkv')
  const exports = { '.': './index.js', './crash-kit': './crash-kit.js' }
  write(join(home, 'package.json'), JSON.stringify({ name: 'daxkv', type: 'module', exports }))
  write(join(home, 'index.js'), `export * from ${entry}\n`)
  const crashKit = JSON.stringify(pathToFileURL(join(root, 'src/crash-kit/index.ts')).href)
  write(join(home, 'crash-kit.js'), `export * from ${crashKit}\n`)
  write(join(folder, 'package.json'), '{ "type": "module" }')
}

function extractSnippets(): Snippet[] {
  const snippets: Snippet[] = []
  for (const { path, text } of allDocuments()) {
    const blocks = codeBlocks(text)
    blocks.forEach(({ info, code, line }, index) => {
      const [language, mark] = info.split(' ')
      if (mark !== 'runnable') return
      assert.ok(language === 'ts' || language === 'js', `${path}:${line}: only ts and js can be run`)
      const home = join(folder, String(snippets.length))
      const file = join(home, `snippet.${language}`)
      write(file, code)
      const next = blocks.at(index + 1)
      snippets.push({
        name: `${path}:${line}`,
        folder: home,
        file,
        output: next?.info === 'text output' ? next.code : undefined,
      })
    })
  }
  return snippets
}

installPackage()
const snippets = extractSnippets()

test('the README and the docs have snippets to run', () => {
  assert.ok(snippets.some(({ name }) => name.startsWith('README.md')))
  assert.ok(snippets.some(({ name }) => name.startsWith('docs/')))
})

for (const { name, folder: home, file, output } of snippets) {
  test(`the example in ${name} runs${output === undefined ? '' : ' and prints what is shown'}`, async (t) => {
    let printed = ''
    t.mock.method(console, 'log', (...values: unknown[]) => {
      printed += `${formatWithOptions({}, ...values)}\n`
    })
    const before = process.cwd()
    process.chdir(home)
    try {
      await import(pathToFileURL(file).href)
    } finally {
      process.chdir(before)
    }
    if (output !== undefined) assert.equal(printed, output)
  })
}

test('the examples in TypeScript pass the compiler with the settings of this repository', () => {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      paths: {
        daxkv: [join(root, 'src/index.ts')],
        'daxkv/crash-kit': [join(root, 'src/crash-kit/index.ts')],
      },
      typeRoots: [join(root, 'node_modules/@types')],
      noUnusedLocals: false,
    },
    include: [],
    files: snippets.map(({ file }) => file).filter((file) => file.endsWith('.ts')),
  }
  write(join(folder, 'tsconfig.json'), JSON.stringify(config))
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
  } catch (error) {
    assert.fail((error as { stdout: string }).stdout)
  }
})
