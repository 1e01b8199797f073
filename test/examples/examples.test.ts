import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from 'daxkv'

const root = fileURLToPath(new URL('../..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'daxkv-examples-test-'))
after(() => rmSync(directory, { recursive: true, force: true }))

function run(example: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = join(root, 'examples', example)
  return spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { cwd: root, encoding: 'utf8' })
}

describe('examples', () => {
  for (const example of ['quick-start', 'job-queue', 'ledger', 'cache']) {
    it(`${example} checks itself and leaves a clean pool`, () => {
      const pool = join(directory, `${example}.pool`)
      const { status, stdout, stderr } = run(`${example}.ts`, pool)
      assert.equal(stderr, '')
      assert.equal(status, 0)
      assert.notEqual(stdout, '')
      using store = open(pool, { readOnly: true })
      assert.deepEqual(store.check().problems, [])
    })
  }
})

describe('the crash kit', () => {
  it('finds the transfer that was two transactions, and nothing in the one that is one', () => {
    const { status, stdout, stderr } = run('crash-kit.ts')
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.match(stdout, /put "alice" at carelessTransfer \(examples\/crash-kit\.ts:\d+:\d+\)/)
    assert.match(stdout, /as one transaction each: 3 transactions, .*, no violation/)
  })
})

describe('the package index', () => {
  const packages = join(directory, 'node_modules')
  for (let i = 0; i < 60; i++) {
    // Two copies of the same version, here and there.
    const place = join(packages, `package-${i}`)
    mkdirSync(place, { recursive: true })
    const dependencies = Object.fromEntries([1, 2, 3].map((d) => [`package-${(i + d) % 50}`, `^${d}.0.0`]))
    const json = { name: `package-${i % 50}`, version: '1.0.0', license: i % 2 ? 'MIT' : { type: 'ISC' }, dependencies }
    writeFileSync(join(place, 'package.json'), JSON.stringify(json))
  }
  mkdirSync(join(packages, 'broken'))
  writeFileSync(join(packages, 'broken', 'package.json'), '{')

  it('survives the killing of its writers, proves it and removes its pool', () => {
    const place = join(directory, 'removed')
    mkdirSync(place)
    const { status, stdout, stderr } = run('package-index.ts', place, '--kills', '2', '--node-modules', packages)
    assert.equal(stderr, '')
    assert.equal(status, 0)
    assert.match(stdout, /input +60 packages .*\(1 more/)
    assert.equal(stdout.match(/killed by SIGKILL/g)?.length, 2)
    const proofs = [
      ...stdout
        .replaceAll(/\s+/g, ' ')
        .matchAll(
          /proved: all (\d+) acknowledged transactions are there(?:, (\d+) more whose .*? cut off)?; none is half/g,
        ),
    ].map(([, acknowledged, more]) => ({
      acknowledged: Number(acknowledged),
      more: Number((more as string | undefined) ?? 0),
    }))
    assert.equal(proofs.length, 3)
    for (const [run, { more }] of proofs.entries()) {
      // A writer acknowledges each transaction before it begins the next: a kill cuts off one line at most.
      assert.ok(more <= Math.min(run + 1, 2), `${more} not acknowledged after writer ${run + 1}`)
    }
    const last = proofs[2]
    assert.equal(last.acknowledged + last.more, 60)
    assert.deepEqual(readdirSync(place), [])
  })

  it('keeps its pool on demand', () => {
    const place = join(directory, 'kept')
    mkdirSync(place)
    const { status, stdout } = run('package-index.ts', place, '--kills', '1', '--node-modules', packages, '--keep')
    assert.equal(status, 0)
    const pool = /^ +kept +(.*)$/m.exec(stdout)?.[1] ?? ''
    assert.ok(existsSync(pool))
    using store = open(pool, { readOnly: true })
    assert.deepEqual(
      store.keyspaces().map(({ name, entries }) => [name, entries]),
      [
        ['', 0],
        ['dependents', 150],
        ['licenses', 50],
        ['manifests', 60],
        ['packages', 50],
      ],
    )
  })

  it('fails when there is nothing to index', () => {
    const empty = join(directory, 'empty')
    mkdirSync(empty)
    const { status, stderr } = run('package-index.ts', directory, '--node-modules', empty)
    assert.equal(status, 1)
    assert.match(stderr, /PROOF FAILED: no packages under/)
  })
})
