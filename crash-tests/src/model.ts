import { ContentDigest } from './content.js'

type Entries = Map<string, Buffer>

/** What the store must hold: plain maps, a digest kept up to date, and nested transactions by an undo list. */
export class Model {
  readonly keyspaces = new Map<string, Entries>()
  readonly #digest = new ContentDigest()
  readonly #undo: (() => void)[][] = []
  bytes = 0

  get digest(): string {
    return this.#digest.toString()
  }

  begin(): void {
    this.#undo.push([])
  }

  commit(): void {
    const done = this.#undo.pop() ?? []
    this.#undo.at(-1)?.push(...done)
  }

  abort(): void {
    const done = this.#undo.pop() ?? []
    for (const undo of done.reverse()) undo()
  }

  create(keyspace: string): void {
    this.keyspaces.set(keyspace, new Map())
    this.#digest.toggleKeyspace(keyspace)
    this.#note(() => {
      this.keyspaces.delete(keyspace)
      this.#digest.toggleKeyspace(keyspace)
    })
  }

  drop(keyspace: string): void {
    const entries = this.entries(keyspace)
    for (const key of [...entries.keys()]) this.delete(keyspace, key)
    this.keyspaces.delete(keyspace)
    this.#digest.toggleKeyspace(keyspace)
    this.#note(() => {
      this.keyspaces.set(keyspace, entries)
      this.#digest.toggleKeyspace(keyspace)
    })
  }

  put(keyspace: string, key: string, value: Buffer): void {
    const old = this.entries(keyspace).get(key)
    this.#set(keyspace, key, value)
    this.#note(() => this.#set(keyspace, key, old))
  }

  delete(keyspace: string, key: string): void {
    const old = this.entries(keyspace).get(key)
    this.#set(keyspace, key, undefined)
    this.#note(() => this.#set(keyspace, key, old))
  }

  entries(keyspace: string): Entries {
    const entries = this.keyspaces.get(keyspace)
    if (entries === undefined) throw new Error(`no keyspace ${keyspace}`)
    return entries
  }

  #set(keyspace: string, key: string, value: Buffer | undefined): void {
    const entries = this.entries(keyspace)
    const old = entries.get(key)
    const keyBytes = Buffer.from(key, 'latin1')
    if (old !== undefined) {
      this.#digest.toggleEntry(keyspace, keyBytes, old)
      this.bytes -= old.length
    }
    if (value === undefined) {
      entries.delete(key)
      return
    }
    entries.set(key, value)
    this.#digest.toggleEntry(keyspace, keyBytes, value)
    this.bytes += value.length
  }

  #note(undo: () => void): void {
    this.#undo.at(-1)?.push(undo)
  }
}
