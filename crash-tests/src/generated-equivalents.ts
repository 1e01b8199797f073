import type { Protocol } from './protocols.js'

interface Equivalent {
  /** Default: all. */
  readonly protocols?: readonly Protocol[]
  readonly name: RegExp
  readonly proof: string
}

/** Generated mutants that nothing can catch, because no crash leaves anything that the program would not have left. */
const EQUIVALENTS: readonly Equivalent[] = [
  {
    name: /^close: anchor: /,
    proof:
      'everything is durable before the anchor of a close is stored; a crash that loses the anchor, or tears it, leaves the other ' +
      'copy, from which recovery comes to the same content as after a kill',
  },
  {
    protocols: ['undo'],
    name: /^close: data: /,
    proof: 'fence 2 of every commit has made its lines durable: under undo there is nothing left to sync',
  },
  {
    protocols: ['ring'],
    name: /^close: data: without fence 1$/,
    proof: 'the sync that follows, before the anchor of the close is stored, is a fence as well',
  },
  {
    protocols: ['slots'],
    name: /^close: data: only a fence instead of sync 1$/,
    proof:
      'the lines of the last transaction have been flushed when it ended: a fence makes them durable as well as a sync does',
  },
  {
    protocols: ['slots'],
    name: /^open: new anchor: without fence 1$/,
    proof:
      'no record of these lives goes on in extents: then the first fence of the first commit makes the anchor durable before ' +
      'anything is stored that a record of the epoch before covers. (The extents of such a record are free for values again after ' +
      'an open, so that the fence is needed where there are any: test/crash/slots.test.ts.)',
  },
  {
    protocols: ['slots'],
    name: /^open: log again: (without log flushes|last one missing of log flushes|swapped across fence) /,
    proof:
      'records in slots are written past the cache only, so the fence of recovery makes their lines durable, whether or not the ' +
      'same bytes are stored again before it',
  },
  {
    name: /^open: anchors again: (without fence|swapped across fence) 1$/,
    proof: 'the sync of the data comes before the other copy is written, and it is a fence as well',
  },
  {
    protocols: ['undo', 'slots'],
    name: /^open: data: only a fence instead of sync 1$/,
    proof:
      'recovery stores and flushes every line of its records again, so that a fence makes them durable as well as a sync does; ' +
      'nothing else of the last transaction can be volatile',
  },
  {
    protocols: ['undo'],
    name: /^open: new anchor: without fence 1$/,
    proof:
      'the first fence of the first commit makes the anchor durable before anything is stored in place; until then the old ' +
      'anchor leads to the same pool, because what its records ask for has been done and made durable',
  },
  {
    protocols: ['ring'],
    name: /^(open: anchors again|open: new anchor|checkpoint): last one missing of anchor flushes /,
    proof:
      'a ring is used under granularity page, where a flush notes its page for the next msync: the other line of the ' +
      'copy has noted it. Line by line the same steps are judged under undo',
  },
  {
    protocols: ['ring'],
    name: /^open: (anchors again: without anchor|data: (without|last one missing of) data) flushes /,
    proof: 'the sync before the other anchor copy is written covers every page that was stored to, noted or not',
  },
  {
    protocols: ['ring'],
    name: /^open: data: not past the cache: data stores /,
    proof: 'the sync before the other anchor copy is written covers every page that was stored to, in whatever way',
  },
  {
    protocols: ['ring'],
    name: /^open: data: only a fence instead of sync 1$/,
    proof:
      'recovery stores and flushes every line of the records since the checkpoint again, so that an msync of those pages makes ' +
      'them durable as well; what came before is durable since the checkpoint',
  },
  {
    protocols: ['ring'],
    name: /^checkpoint: swapped across sync 1$/,
    proof:
      "one of the anchor's two lines comes before the sync: without the other one its checksum fails and the other copy counts",
  },
]

/** Why a mutant cannot be caught; undefined when it must be. */
export function proofOf(protocol: Protocol, mutant: string): string | undefined {
  return EQUIVALENTS.find((one) => (one.protocols ?? [protocol]).includes(protocol) && one.name.test(mutant))?.proof
}
