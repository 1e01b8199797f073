// Runs the tests with node's own test runner, whose summary is the last thing printed.
//
//   node scripts/test.mjs                     everything: test/ and crash-tests/
//   node scripts/test.mjs --unit              without the packaging and crash tests and the quick benchmark
//   node scripts/test.mjs test/codec          files and folders by name
//   node scripts/test.mjs --test-name-pattern=prefix test/codec
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const SLOW = [/^test\/package\//, /^test\/bench\/quick/, /^test\/crash\//, /^crash-tests\//]

const given = process.argv.slice(2)
const unitOnly = given.includes('--unit')
const flags = given.filter((argument) => argument.startsWith('--') && argument !== '--unit')
const paths = given.filter((argument) => !argument.startsWith('--'))

// node --test knows globs only from version 21 on.
function testFiles(path) {
  if (!existsSync(path)) return []
  if (statSync(path).isFile()) return [path]
  return readdirSync(path, { recursive: true })
    .map((name) => join(path, String(name)))
    .filter((name) => name.endsWith('.test.ts'))
}

const files = (paths.length > 0 ? paths : ['test', 'crash-tests'])
  .flatMap(testFiles)
  .filter((file) => !unitOnly || !SLOW.some((pattern) => pattern.test(file)))
  .sort()
if (files.length === 0) {
  process.stderr.write(`no test files in ${paths.join(', ')}\n`)
  process.exit(1)
}

const { status, signal } = spawnSync(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${availableParallelism()}`,
    ...flags,
    ...files,
  ],
  { stdio: 'inherit' },
)
if (signal !== null) process.kill(process.pid, signal)
process.exit(status ?? 1)
