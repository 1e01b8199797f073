/** Standard output in blocks, with backpressure, and quiet when the reader goes away (`daxkv dump p | head`). */
import type { Writable } from 'node:stream'

const BLOCK_CHARACTERS = 64 * 1024

/** The reader of our output has closed it: not an error, only the end of the work. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed'
}

export class Output {
  private pending = ''

  constructor(private readonly stream: Writable & { readonly isTTY?: boolean; readonly columns?: number }) {}

  /** Width of the terminal, undefined when the output goes elsewhere. */
  get columns(): number | undefined {
    return this.stream.isTTY === true ? (this.stream.columns ?? 80) : undefined
  }

  /** Adds a line. Returns true when it is time to `await flush()`. */
  line(text: string): boolean {
    this.pending += `${text}\n`
    return this.pending.length >= BLOCK_CHARACTERS
  }

  async flush(): Promise<void> {
    if (this.pending === '') return
    const text = this.pending
    this.pending = ''
    await this.write(text)
  }

  async write(data: string | Uint8Array): Promise<void> {
    await this.flush()
    await new Promise<void>((resolve, reject) => {
      this.stream.write(data, (error) => {
        if (error === null || error === undefined) resolve()
        else if ((error as NodeJS.ErrnoException).code === 'EPIPE') reject(new OutputClosed())
        else reject(error)
      })
    })
  }
}
