import { spawnSync } from 'node:child_process'

/** Runs a command; throws with its output when it fails. */
export function run(command: string, ...parameters: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0)
    throw new Error(`${command} ${parameters.join(' ')}: exit ${status ?? 'by signal'}: ${stdout}${stderr}`)
  return stdout
}

/** Blocks for a while: nothing else is to happen in the meantime. */
export function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Asks until there is an answer: devices appear some time after they were made. */
export function eventually<T>(what: string, ask: () => T | undefined): T {
  for (let tries = 0; tries < 200; tries++) {
    const answer = ask()
    if (answer !== undefined) return answer
    sleep(50)
  }
  throw new Error(`${what} did not appear`)
}
