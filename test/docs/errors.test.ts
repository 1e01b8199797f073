import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { codeOf, readDocument, root, tableWithColumns } from './markdown.js'

const source = readFileSync(join(root, 'src/errors.ts'), 'utf8')
const declared = [...source.matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, code]) => code)
const { rows } = tableWithColumns(readDocument('docs/errors.md').text, 'Code', 'Meaning', 'When', 'What to do')
const documented = rows.map(([cell]) => codeOf(cell) ?? cell)

test('docs/errors.md lists the codes of DaxkvErrorCode, all of them and in their order', () => {
  assert.ok(declared.length > 20, 'the type was found')
  assert.deepEqual(documented, declared)
})

test('every code has a meaning, and says when it comes and what to do unless it never comes', () => {
  const thrown = codesInSources()
  for (const [code, meaning, when, advice] of rows.map(([cell, ...rest]) => [codeOf(cell) ?? cell, ...rest])) {
    assert.notEqual(meaning, '', code)
    const isReserved = meaning.startsWith('reserved')
    assert.equal(when === '' || advice === '', isReserved, `${code}: say when and what to do, or that it is reserved`)
    assert.equal(thrown.has(code), !isReserved, `${code}: documented as ${isReserved ? 'reserved' : 'thrown'}`)
  }
})

/** Codes that the library names anywhere but in their declaration and in the command line. */
function codesInSources(): Set<string> {
  const codes = new Set<string>()
  for (const name of readdirSync(join(root, 'src'), { recursive: true }).map(String)) {
    if (!/\.c?ts$/.test(name) || name === 'errors.ts' || name.startsWith('cli')) continue
    for (const [, code] of readFileSync(join(root, 'src', name), 'utf8').matchAll(/'([A-Z_]+)'/g)) codes.add(code)
  }
  return codes
}
