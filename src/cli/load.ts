import type { Command } from 'commander'
import { DaxkvError, type Store } from '../index.js'
import { CliError } from './cli-error.js'
import {
  type AnyKeyspace,
  addBaseOptions,
  addKeyspaceOptions,
  addWriteOptions,
  keyspaceForWriting,
  openForWriting,
  parseCount,
  type WriteOptions,
} from './common.js'
import { formatBytes, formatCount, plural } from './layout.js'
import { type LoadInput, openInput, type SourcedItem } from './load-input.js'
import { Output } from './output.js'
import { Progress } from './progress.js'
import { fromJsonLine } from './texts.js'

const DEFAULT_BATCH_ROWS = 10_000
/** Also ends a transaction, so that rows of large values do not pile up in memory. */
const BATCH_INPUT_BYTES = 16 * 1024 * 1024

interface LoadOptions extends WriteOptions {
  readonly batch: number
}

interface Row {
  readonly keyspace: AnyKeyspace
  readonly key: unknown
  readonly value: unknown
  readonly origin: string
}

export function addLoad(program: Command): void {
  const command = program
    .command('load')
    .description('store JSON lines, or a directory of JSON files; creates the pool if there is none')
    .argument('<pool>', 'pool file')
    .argument('<source>', 'file of JSON lines, - for standard input, or a directory')
  addKeyspaceOptions(command, true)
  command.option(
    '-b, --batch <rows>',
    'rows in a transaction; 0 stores all of them in one',
    parseCount,
    DEFAULT_BATCH_ROWS,
  )
  addBaseOptions(addWriteOptions(command))
    .addHelpText(
      'after',
      `
JSON lines are {"key": ..., "value": ...}, optionally with "keyspace": name; others go to --keyspace. What daxkv dump
writes is understood. Of a directory all files named *.json are stored, the key is the path below the directory.
In binary keyspaces strings stand for their UTF-8 bytes.

A transaction also ends after ${formatBytes(BATCH_INPUT_BYTES)} of input (not with --batch 0). When a row is refused, its transaction is
taken back; the message names the line and says how many rows are stored. SIGINT stops after the transaction at hand.

Examples:
  $ daxkv load orders.pool users.jsonl --keyspace users
  $ daxkv dump old.pool | daxkv load new.pool -
  $ daxkv load config.pool ./config --key-encoding utf8`,
    )
    .action(load)
}

async function load(pool: string, source: string, options: LoadOptions): Promise<void> {
  const input = openInput(source)
  const loader = new Loader(pool, options, input)
  try {
    await loader.run()
  } finally {
    loader.close()
  }
  const output = new Output(process.stdout)
  for (const line of loader.report()) output.line(line)
  await output.flush()
  if (loader.interrupted) throw new CliError('INTERRUPTED', `stopped; ${plural(loader.rows, 'row')} stored`)
}

class Loader {
  rows = 0
  interrupted = false

  private store: Store | undefined
  private readonly keyspaces = new Map<string, AnyKeyspace>()
  private batch: Row[] = []
  private batchBytes = 0
  private inputBytes = 0
  private transactions = 0
  private sizeBefore = 0
  private sizeAfter = 0
  private readonly started = performance.now()

  constructor(
    private readonly pool: string,
    private readonly options: LoadOptions,
    private readonly input: LoadInput,
  ) {}

  async run(): Promise<void> {
    const progress = new Progress(this.input.totalBytes)
    const stop = (): void => {
      this.interrupted = true
    }
    process.on('SIGINT', stop).on('SIGTERM', stop)
    try {
      for await (const item of this.input.items()) {
        if (this.interrupted) return
        this.take(item)
        if (this.batchIsFull()) {
          this.commit()
          progress.update(this.inputBytes, this.rows)
          // Lets signals and the bar have their turn: files of a directory are read without waiting.
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      this.commit()
      // Also an empty input makes the pool and names a wrong one.
      this.opened(this.options)
    } catch (error) {
      throw this.withRowsStored(error)
    } finally {
      progress.stop()
      process.off('SIGINT', stop).off('SIGTERM', stop)
    }
  }

  close(): void {
    if (this.store === undefined || this.store.closed) return
    try {
      this.sizeAfter = this.store.stats().capacityBytes
    } finally {
      this.store.close()
    }
  }

  report(): string[] {
    const seconds = (performance.now() - this.started) / 1000
    const { rows, transactions, inputBytes } = this
    if (this.options.json === true) {
      const { pool: path, sizeAfter: poolBytes } = this
      return [JSON.stringify({ path, rows, transactions, inputBytes, poolBytes, seconds })]
    }
    const rate = formatCount(Math.round(rows / seconds))
    const grown = this.sizeBefore === this.sizeAfter ? '' : `${formatBytes(this.sizeBefore)} -> `
    return [
      `${plural(rows, 'row')} of ${formatBytes(inputBytes)} stored in ${plural(transactions, 'transaction')}`,
      `${seconds.toFixed(2)} s, ${rate} rows/s; pool size ${grown}${formatBytes(this.sizeAfter)}`,
    ]
  }

  private take(item: SourcedItem): void {
    this.batchBytes += item.inputBytes - this.inputBytes
    this.inputBytes = item.inputBytes
    if (item.kind === 'keyspace') {
      const { keyspace, keyEncoding, valueEncoding } = item
      this.keyspaceOf(keyspace, { ...this.options, keyspace, keyEncoding, valueEncoding })
      return
    }
    const name = item.keyspace ?? this.options.keyspace ?? ''
    this.batch.push({
      keyspace: this.keyspaceOf(name, this.options),
      key: item.key,
      value: item.value,
      origin: item.origin,
    })
  }

  private batchIsFull(): boolean {
    if (this.options.batch === 0) return false
    return this.batch.length >= this.options.batch || this.batchBytes >= BATCH_INPUT_BYTES
  }

  private commit(): void {
    const { batch } = this
    this.batch = []
    this.batchBytes = 0
    if (batch.length === 0) return
    this.opened(this.options).transaction(() => {
      for (const row of batch) this.put(row)
    })
    this.transactions++
    this.rows += batch.length
  }

  private put({ keyspace, key, value, origin }: Row): void {
    try {
      const literal = this.input.literal && keyspace.valueEncoding !== 'binary'
      keyspace.put(
        fromJsonLine(key, keyspace.keyEncoding) as Parameters<AnyKeyspace['put']>[0],
        literal ? value : fromJsonLine(value, keyspace.valueEncoding),
      )
    } catch (error) {
      throw withMessage(error, (message) => `${origin}: ${message}`)
    }
  }

  /** Whoever has to mend the input and start again wants to know. */
  private withRowsStored(error: unknown): unknown {
    if (this.store === undefined) return error
    return withMessage(error, (message) => `${message}; ${plural(this.rows, 'row')} of earlier transactions stored`)
  }

  /** Opens the pool at the first use: a pool that is created takes the encodings its first line declares. */
  private opened(options: WriteOptions): Store {
    if (this.store === undefined) {
      this.store = openForWriting(this.pool, options)
      this.sizeBefore = this.store.stats().capacityBytes
    }
    return this.store
  }

  private keyspaceOf(name: string, options: WriteOptions): AnyKeyspace {
    let keyspace = this.keyspaces.get(name)
    if (keyspace === undefined) {
      keyspace = keyspaceForWriting(this.opened(options), name, options)
      this.keyspaces.set(name, keyspace)
    }
    return keyspace
  }
}

function withMessage(error: unknown, change: (message: string) => string): unknown {
  if (error instanceof CliError) return new CliError(error.code, change(error.message), error)
  if (error instanceof DaxkvError) return new DaxkvError(error.code, change(error.message), { cause: error })
  return error
}
