import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { open } from '../../src/index.js'
import { entriesOf, KEYSPACES } from './content.js'

const OUTCOMES: Readonly<Record<string, string>> = { clean: 'clean', killed: 'finished', torn: 'rolled-back' }

const versions = readdirSync(new URL('.', import.meta.url)).filter((name) => /^v\d+$/.test(name))
assert.ok(versions.length > 0)
for (const version of versions) {
  for (const file of readdirSync(new URL(`${version}/`, import.meta.url))) {
    test(`a pool of format ${version}, ${file}, opens with all its content`, (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'daxkv-golden-'))
      t.after(() => {
        rmSync(directory, { recursive: true, force: true })
      })
      const path = join(directory, 'golden.pool')
      writeFileSync(path, gunzipSync(readFileSync(new URL(`${version}/${file}`, import.meta.url))))
      const store = open(path)
      try {
        assert.equal(store.stats().recovery.outcome, OUTCOMES[file.split('.')[0]])
        assert.deepEqual(store.check().problems, [])
        assert.deepEqual(
          store.keyspaces().map(({ name }) => name),
          ['', ...KEYSPACES.map(([name]) => name)].sort(),
        )
        for (const [name, options] of KEYSPACES) {
          const keyspace = store.keyspace(name, options)
          const expected = [...entriesOf(name)]
          assert.equal(keyspace.count(), expected.length)
          for (const [key, value] of expected) assert.deepEqual(keyspace.get(key as never), value)
        }
        // and goes on working
        store.put('new', { works: true })
        assert.deepEqual(store.get('new'), { works: true })
        assert.deepEqual(store.check().problems, [])
      } finally {
        store.close()
      }
    })
  }
}
