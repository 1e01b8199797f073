/**
 * The main job of this repository, on real input: index every package.json under node_modules into four keyspaces,
 * kill the writer with SIGKILL in the middle of it (several times), and prove after each kill that every transaction
 * it had acknowledged is there and that nothing is there by halves. Then answer a few questions.
 *
 *     npm start -- [DIRECTORY] [--keep] [--kills N] [--node-modules DIRECTORY]
 *
 * The pool lies in a new directory below DIRECTORY (default: the system's directory for temporary files), removed at
 * the end unless --keep is given. Ends with status 1 when a proof fails.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { DaxkvError, open } from 'daxkv'
import { findPackageFiles, readPackageFile } from './package-index/package-files.js'
import { type Proof, prove, ProofFailed } from './package-index/proof.js'
import { byLicense, dependentsOf, mostDependedUpon, severalVersions } from './package-index/questions.js'
import { runWriter } from './package-index/run-writer.js'
import { openIndex } from './package-index/schema.js'

/** How many transactions a writer may be ahead of the acknowledgement that decides its death. */
const LEEWAY = 24
const LABEL_WIDTH = 18
const LINE_WIDTH = 112

interface Options {
  readonly base: string
  readonly directory: string
  readonly kills: number
  readonly keep: boolean
}

async function main({ base, directory, kills, keep }: Options): Promise<void> {
  const files = findPackageFiles(directory)
  const total = files.filter((file) => readPackageFile(join(directory, file)) !== undefined).length
  if (total === 0) throw new ProofFailed(`no packages under ${directory}`)
  const place = mkdtempSync(join(base, 'daxkv-package-index-'))
  const pool = join(place, 'packages.pool')
  if (!keep) process.on('exit', () => rmSync(place, { recursive: true, force: true }))
  title('Package index')
  line('input', `${total} packages in ${directory} (${files.length - total} more package.json files describe none)`)
  createPool(pool)

  title('Write, kill, prove')
  const acknowledged = new Set<number>()
  for (let kill = 1; kill <= kills; kill++) {
    const at = Math.ceil((total * kill) / (kills + 1))
    const run = await runWriter(pool, directory, { at, upTo: Math.min(at + LEEWAY, total - 1) })
    for (const tx of run.acknowledged) acknowledged.add(tx)
    if (!run.killed) throw new ProofFailed('the writer was done before it could be killed')
    line(`writer ${kill}`, `killed by SIGKILL after it had acknowledged ${run.acknowledged.length} transactions`)
    reopenAndProve(pool, acknowledged)
  }
  const last = await runWriter(pool, directory)
  for (const tx of last.acknowledged) acknowledged.add(tx)
  line(`writer ${kills + 1}`, `wrote the rest: ${last.acknowledged.length} transactions, ${rate(last)}`)
  const proof = reopenAndProve(pool, acknowledged)
  if (proof.transactions !== total) throw new ProofFailed(`${proof.transactions} transactions for ${total} packages`)

  answer(pool)
  if (keep) line('kept', pool)
}

function createPool(pool: string): void {
  using store = open(pool)
  openIndex(store)
  const { granularity, reason, flushInstruction, mapSync } = store.persistence
  line('pool', pool)
  line(
    'persistence',
    `granularity ${granularity}, by ${flushInstruction}, MAP_SYNC ${mapSync ? 'granted' : 'not granted'}`,
  )
  line('', reason)
}

/** Opens the pool as the next process would, which recovers it, and holds it against what was acknowledged. */
function reopenAndProve(pool: string, acknowledged: ReadonlySet<number>): Proof {
  const started = performance.now()
  using store = open(pool)
  const openMs = performance.now() - started
  const { outcome, txid } = store.stats().recovery
  const found = {
    clean: 'it was closed cleanly',
    nothing: 'no transaction was under way',
    finished: `transaction ${txid} of the pool was complete`,
    'rolled-back': `transaction ${txid} of the pool was torn and is rolled back`,
    replayed: `the log up to transaction ${txid} of the pool was applied again`,
  }[outcome]
  line('', `reopened in ${openMs.toFixed(2)} ms: ${found}`)
  const proof = prove(store, acknowledged)
  const more = proof.unacknowledged === 0 ? '' : `, ${proof.unacknowledged} more whose acknowledgement was cut off`
  line('', `proved: all ${acknowledged.size} acknowledged transactions are there${more}; none is half done:`)
  line('', `${proof.rows} rows agree with the manifests; check() finds no damage`)
  return proof
}

function answer(pool: string): void {
  using store = open(pool, { readOnly: true })
  const index = openIndex(store)
  title('Questions')
  const top = mostDependedUpon(index, 6)
  list(
    'most depended upon',
    top.map(([name, count]) => `${name} (by ${count})`),
  )
  const favourite = top[0]?.[0] ?? ''
  list('dependents', [`of ${favourite}: ${dependentsOf(index, favourite).join(', ')}`])
  const several = severalVersions(index)
  line('several versions', `${several.length} packages`)
  list(
    '',
    several.map(([name, versions]) => `${name} ${versions.join(' + ')}`),
  )
  list(
    'licenses',
    byLicense(index).map(([license, count]) => `${license} (${count})`),
  )

  title('Figures')
  const { capacityBytes, allocatedPages, txid } = store.stats()
  for (const { name, entries } of store.keyspaces()) if (name !== '') line(name, `${entries} rows`)
  line('transactions', `${txid} committed by this pool so far`)
  line('pool file', `${mebibytes(capacityBytes)}, ${mebibytes(allocatedPages * 4096)} of it in use`)
}

function rate(run: { acknowledged: number[]; busyMs: number | undefined }): string {
  if (run.busyMs === undefined || run.busyMs === 0) return 'in no time'
  return `${Math.round((run.acknowledged.length * 1000) / run.busyMs)} a second, each durable before the next`
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

function title(text: string): void {
  console.log(`\n${text}`)
}

/** A label and a text, wrapped between words. */
function line(label: string, text: string): void {
  let row = `  ${label.padEnd(LABEL_WIDTH)}`
  for (const word of text.split(' ')) {
    if (row.length + 1 + word.length > LINE_WIDTH && row.trim() !== '') {
      console.log(row)
      row = `  ${' '.repeat(LABEL_WIDTH)}`
    }
    row += ` ${word}`
  }
  console.log(row)
}

/** As many items as fit on a line. */
function list(label: string, items: string[]): void {
  let text = items[0] ?? 'none'
  let shown = 1
  while (shown < items.length && text.length + items[shown].length < LINE_WIDTH - LABEL_WIDTH - 8) {
    text += `, ${items[shown++]}`
  }
  line(label, shown < items.length ? `${text} ...` : text)
}

function parseOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      keep: { type: 'boolean', default: false },
      kills: { type: 'string', default: '3' },
      'node-modules': { type: 'string', default: fileURLToPath(new URL('../node_modules', import.meta.url)) },
    },
  })
  return {
    base: positionals[0] ?? tmpdir(),
    directory: values['node-modules'],
    kills: Number(values.kills),
    keep: values.keep,
  }
}

// So that 'exit' is also reached, and the pool removed, when somebody has seen enough.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
try {
  await main(parseOptions())
} catch (error) {
  if (error instanceof ProofFailed) console.error(`\nPROOF FAILED: ${error.message}`)
  else if (error instanceof DaxkvError) console.error(`\n${error.code}: ${error.message}`)
  else console.error(error)
  process.exitCode = 1
}
