/** QEMU's control connection, as far as the laboratory needs it. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Qmp {
  readonly #path: string
  #socket: Socket | undefined
  readonly #waiting: Waiting[] = []

  constructor(path: string) {
    this.#path = path
  }

  /** Executes one command and waits for its reply. */
  async execute(command: string): Promise<void> {
    if (this.#socket === undefined) {
      this.#socket = await this.#connect()
      await this.#send('qmp_capabilities')
    }
    await this.#send(command)
  }

  close(): void {
    this.#socket?.destroy()
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the machine ended'))
  }

  #connect(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#path, () => resolve(socket))
      socket.on('error', reject)
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        const lines = text.split('\n')
        text = lines.pop() ?? ''
        for (const line of lines) if (line.trim() !== '') this.#take(JSON.parse(line) as Record<string, unknown>)
      })
    })
  }

  #send(command: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#socket?.write(`${JSON.stringify({ execute: command })}\n`)
    })
  }

  /** Greeting and events belong to no command. */
  #take(message: Record<string, unknown>): void {
    if ('return' in message) this.#waiting.shift()?.resolve()
    else if ('error' in message) this.#waiting.shift()?.reject(new Error(JSON.stringify(message['error'])))
  }
}
