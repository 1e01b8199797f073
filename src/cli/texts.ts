/** Keys and values as they are written on a command line and shown to people. */
import type { AnyKey, KeyEncoding, ValueEncoding } from '../index.js'
import { CliError } from './cli-error.js'
import { fromTagged, stringifyTagged } from './tagged-json.js'

const MAX_UINT32 = 0xffff_ffff
const JSON_SCALAR = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/
const JSON_START = /^\s*["[{]/
/** Control characters and lone surrogates would spoil a line of output. */
const UNPRINTABLE = /\p{Cc}|\p{Cs}|\p{Zl}|\p{Zp}/u

/** How keys and values are given, for the help of every command that takes one. */
export const TEXTS_HELP = `Keys:   ordered keyspaces take JSON (42, true, ["a", 1]) and everything else as a string; write '"42"' for the
        string 42. utf8 keyspaces take the text as it is, binary ones too or 0x and hex digits, uint32 ones a number.
Values: msgpack and json keyspaces take JSON and everything else as a string; string keyspaces take the text as it
        is, binary ones too or 0x and hex digits.`

export function parseKey(text: string, encoding: KeyEncoding): AnyKey {
  switch (encoding) {
    case 'utf8':
      return text
    case 'binary':
      return parseBytes(text)
    case 'uint32':
      if (/^\d+$/.test(text) && Number(text) <= MAX_UINT32) return Number(text)
      throw new CliError('USAGE', `keys of this keyspace are integers from 0 to ${MAX_UINT32}, not ${quote(text)}`)
    case 'ordered':
      return parseLoosely(text, 'key') as AnyKey
  }
}

export function parseValue(text: string, encoding: ValueEncoding): unknown {
  if (encoding === 'string') return text
  return encoding === 'binary' ? parseBytes(text) : parseLoosely(text, 'value')
}

/** A key or value of a JSON line, in the type its encoding wants: binary ones may be given as plain strings. */
export function fromJsonLine(value: unknown, encoding: KeyEncoding | ValueEncoding): unknown {
  const plain = fromTagged(value)
  return encoding === 'binary' && typeof plain === 'string' ? Buffer.from(plain) : plain
}

/** One line for people; strings without quotes where that leaves no doubt. */
export function showKey(key: unknown, encoding: KeyEncoding): string {
  if (Buffer.isBuffer(key)) return `0x${key.toString('hex')}`
  if (typeof key !== 'string') return stringifyTagged(key)
  const doubtful = UNPRINTABLE.test(key) || (encoding === 'ordered' && (JSON_SCALAR.test(key) || JSON_START.test(key)))
  return doubtful || key === '' ? JSON.stringify(key) : key
}

export function showValue(value: unknown, encoding: ValueEncoding): string {
  if (encoding === 'binary' && Buffer.isBuffer(value)) return `0x${value.toString('hex')}`
  // Among structured values quotes tell the string 42 from the number.
  if (encoding === 'string' && typeof value === 'string' && !UNPRINTABLE.test(value)) return value
  return stringifyTagged(value)
}

function parseBytes(text: string): Buffer {
  if (!text.startsWith('0x')) return Buffer.from(text)
  const digits = text.slice(2)
  if (digits.length % 2 === 0 && /^[\da-fA-F]*$/.test(digits)) return Buffer.from(digits, 'hex')
  throw new CliError('USAGE', `0x must be followed by pairs of hex digits, not ${quote(digits)}`)
}

/** JSON where it looks like JSON, else the text as a string. What begins like JSON must be JSON: no typing error is stored as a string. */
function parseLoosely(text: string, what: string): unknown {
  if (JSON_SCALAR.test(text)) return JSON.parse(text)
  if (!JSON_START.test(text)) return text
  try {
    return fromTagged(JSON.parse(text))
  } catch (error) {
    if (error instanceof CliError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new CliError(
      'USAGE',
      `the ${what} ${quote(text)} begins like JSON and is not (${reason}); quote it to make it a string`,
      error,
    )
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
