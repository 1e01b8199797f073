/** The guest's end of the channel to the host: the second serial port. */
import { openSync, readFileSync, writeSync } from 'node:fs'
import type { GuestLine, Job } from '../protocol.js'

/** Where the channel is; on a real machine (`--device`) it is standard output. */
const fd = process.env['DAXKV_VM_CHANNEL'] === 'stdout' ? 1 : openSync('/dev/ttyS1', 'r+')

export function readJob(): Job {
  const file = process.env['DAXKV_VM_JOB'] ?? '/sys/firmware/qemu_fw_cfg/by_name/opt/daxkv/job/raw'
  return JSON.parse(readFileSync(file, 'utf8')) as Job
}

export function report(line: GuestLine): void {
  write(`${JSON.stringify(line)}\n`)
}

/** Says that all steps up to this one are durable. Nothing may follow the write: the power may fail at once. */
export function acknowledge(writer: number, step: number): void {
  write(`a ${writer} ${step}\n`)
}

export function result(name: string, ok: boolean, detail: string): void {
  report({ kind: 'result', name, ok, detail })
}

function write(text: string): void {
  const bytes = Buffer.from(text, 'latin1')
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
}
