/** Where `load` gets its rows: JSON lines from a file or standard input, or the JSON files of a directory. */
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyEncoding, ValueEncoding } from '../index.js'
import { CliError } from './cli-error.js'

const LINE_FEED = 10
const KEY_ENCODINGS = new Set<unknown>(['ordered', 'utf8', 'binary', 'uint32'] satisfies KeyEncoding[])
const VALUE_ENCODINGS = new Set<unknown>(['msgpack', 'json', 'string', 'binary'] satisfies ValueEncoding[])

/** One row, or the declaration of a keyspace as `dump` writes it. Values are JSON, possibly tagged. */
export type LoadItem =
  | { readonly kind: 'row'; readonly keyspace: string | undefined; readonly key: unknown; readonly value: unknown }
  | {
      readonly kind: 'keyspace'
      readonly keyspace: string
      readonly keyEncoding: KeyEncoding
      readonly valueEncoding: ValueEncoding
    }

/** An item, where it came from (for messages), and how much of the input has been read with it. */
export type SourcedItem = LoadItem & { readonly origin: string; readonly inputBytes: number }

export interface LoadInput {
  /** Bytes of all input, undefined where that is not known. */
  readonly totalBytes: number | undefined
  /** True when values must be taken literally: files that know nothing of tagged JSON. */
  readonly literal: boolean
  items(): AsyncIterable<SourcedItem> | Iterable<SourcedItem>
}

/** `-` is standard input, a directory is read file by file, everything else as JSON lines. */
export function openInput(source: string): LoadInput {
  if (source === '-') {
    return { totalBytes: undefined, literal: false, items: () => readLines(process.stdin, 'standard input') }
  }
  try {
    const stat = statSync(source)
    if (stat.isDirectory()) return directoryInput(source)
    const totalBytes = stat.isFile() ? stat.size : undefined
    return { totalBytes, literal: false, items: () => readLines(createReadStream(source), source) }
  } catch (error) {
    throw unreadable(source, error)
  }
}

async function* readLines(stream: AsyncIterable<unknown>, name: string): AsyncGenerator<SourcedItem> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest: Buffer[] = []
  let lineNumber = 0
  let inputBytes = 0
  const parse = (bytes: Buffer): SourcedItem | undefined => {
    lineNumber++
    inputBytes += bytes.length + 1
    const origin = `${name}, line ${lineNumber}`
    const item = parseLine(decoder, bytes, origin)
    return item === undefined ? undefined : { ...item, origin, inputBytes }
  }
  try {
    // Split by hand: readline also breaks lines at U+2028 and U+2029, which JSON allows inside strings.
    for await (const chunk of stream) {
      const bytes = chunk as Buffer
      let start = 0
      for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
        const line = bytes.subarray(start, end)
        start = end + 1
        const item = parse(rest.length === 0 ? line : Buffer.concat([...rest, line]))
        rest = []
        if (item !== undefined) yield item
      }
      if (start < bytes.length) rest.push(bytes.subarray(start))
    }
  } catch (error) {
    throw error instanceof CliError ? error : unreadable(name, error)
  }
  if (rest.length > 0) {
    const item = parse(Buffer.concat(rest))
    if (item !== undefined) yield item
  }
}

function parseLine(decoder: InstanceType<typeof TextDecoder>, bytes: Buffer, origin: string): LoadItem | undefined {
  let line: unknown
  try {
    const text = decoder.decode(bytes)
    if (text.trim() === '') return undefined
    line = JSON.parse(text)
  } catch (error) {
    throw new CliError('BAD_INPUT', `${origin}: not JSON: ${messageOf(error)}`, error)
  }
  if (typeof line !== 'object' || line === null || Array.isArray(line)) {
    throw new CliError('BAD_INPUT', `${origin}: a line must be an object with "key" and "value"`)
  }
  const { key, value, keyspace, keyEncoding, valueEncoding } = line as Record<string, unknown>
  if (keyspace !== undefined && typeof keyspace !== 'string') {
    throw new CliError('BAD_INPUT', `${origin}: "keyspace" must be a string`)
  }
  if (key !== undefined && value !== undefined) return { kind: 'row', keyspace, key, value }
  if (key === undefined && value === undefined && keyspace !== undefined) {
    if (KEY_ENCODINGS.has(keyEncoding) && VALUE_ENCODINGS.has(valueEncoding)) {
      return {
        kind: 'keyspace',
        keyspace,
        keyEncoding: keyEncoding as KeyEncoding,
        valueEncoding: valueEncoding as ValueEncoding,
      }
    }
  }
  throw new CliError('BAD_INPUT', `${origin}: a line must be an object with "key" and "value"`)
}

function directoryInput(directory: string): LoadInput {
  const paths = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const sizes = paths.map((path) => statSync(path).size)
  return {
    totalBytes: sizes.reduce((sum, size) => sum + size, 0),
    literal: true,
    *items() {
      let inputBytes = 0
      for (const [i, path] of paths.entries()) {
        inputBytes += sizes[i]
        const key = path.slice(join(directory, '/').length)
        yield { kind: 'row', keyspace: undefined, key, value: readJson(path), origin: path, inputBytes }
      }
    },
  }
}

function readJson(path: string): unknown {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw unreadable(path, error)
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new CliError('BAD_INPUT', `${path}: not JSON: ${messageOf(error)}`, error)
  }
}

function unreadable(name: string, error: unknown): CliError {
  return new CliError('BAD_INPUT', `cannot read ${name}: ${messageOf(error)}`, error)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
