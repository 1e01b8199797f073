/**
 * Runs the virtual-machine laboratory, with a progress line, a summary and a file of results.
 *
 *     npm run crash-tests:vm -- [--smoke | --long] [--suite NAME]... [--seed NUMBER] [--json FILE] [--keep]
 *     npm run crash-tests:vm -- --device /dev/pmem0 [--write MODE | --verify MODE --acknowledged NUMBER]
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { DeviceRefused, onDevice } from './host/device.js'
import type { DeviceAction } from './host/device.js'
import { CACHE, buildGuestProgram, buildInitramfs } from './host/initramfs.js'
import { judge } from './host/judge.js'
import { Laboratory } from './host/laboratory.js'
import type { Amount, Row } from './host/laboratory.js'
import { Unavailable, findTools } from './host/packages.js'
import { blockDevices } from './suites/block-devices.js'
import { calls } from './suites/calls.js'
import { compare } from './suites/compare.js'
import { losses } from './suites/losses.js'
import { matrix } from './suites/matrix.js'
import { powerCuts } from './suites/power-cuts.js'
import { rules } from './suites/rules.js'

const SUITES: Readonly<Record<string, (laboratory: Laboratory) => Promise<void>>> = {
  matrix,
  'power-cuts': powerCuts,
  losses,
  calls,
  rules,
  'block-devices': blockDevices,
  compare,
}
const SMOKE = ['matrix', 'power-cuts', 'losses']

function readOptions() {
  return parseArgs({
    options: {
      suite: { type: 'string', multiple: true },
      seed: { type: 'string', default: '1' },
      smoke: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      json: { type: 'string', default: join(CACHE, 'results.json') },
      keep: { type: 'boolean', default: false },
      device: { type: 'string' },
      write: { type: 'string' },
      verify: { type: 'string' },
      acknowledged: { type: 'string', default: '0' },
    },
  }).values
}

type Options = ReturnType<typeof readOptions>

async function main(): Promise<number> {
  const options = readOptions()
  return options.device === undefined ? await virtual(options) : await real(options, options.device)
}

/** The suites, in virtual machines. */
async function virtual(options: Options): Promise<number> {
  const names = options.suite ?? (options.smoke ? SMOKE : Object.keys(SUITES))
  const unknown = names.find((name) => !(name in SUITES))
  if (unknown !== undefined) {
    console.error(`no suite ${unknown}; there are ${Object.keys(SUITES).join(', ')}`)
    return 2
  }
  const amount: Amount = options.long ? 'long' : options.smoke ? 'smoke' : 'default'
  const seed = Number(options.seed)
  const begin = performance.now()
  const tools = findTools(CACHE, say)
  const initramfs = await buildInitramfs(tools, CACHE, say)
  const laboratory = new Laboratory(tools, initramfs, CACHE, amount, seed, showProgress, announce)
  if (!options.keep) process.on('exit', () => laboratory.dispose())
  const failures: string[] = []
  try {
    for (const name of names) {
      try {
        await SUITES[name](laboratory)
      } catch (error) {
        clearProgress()
        failures.push(name)
        console.error(`${name} FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
        console.error(`again: npm run crash-tests:vm -- --suite ${name} --seed ${seed} --${amount}`)
      }
    }
  } finally {
    if (options.keep) say(`images kept in ${laboratory.folder}`)
  }
  clearProgress()
  const { rows, boots } = laboratory
  const seconds = Math.round((performance.now() - begin) / 1000)
  summarize(rows, `${boots} boots, software emulation, kernel ${tools.kernel.version}, ${seconds} s`)
  const failed = rows.filter(({ ok }) => !ok).length + failures.length
  writeResults(options.json, { amount, seed, kernel: tools.kernel.version, node: process.version, seconds, failed, failures, rows }) // prettier-ignore
  return failed === 0 ? 0 : 1
}

/** On a machine with persistent memory of its own. */
async function real(options: Options, device: string): Promise<number> {
  const seed = Number(options.seed)
  let action: DeviceAction = { what: 'suites', seed }
  if (options.write !== undefined) action = { what: 'write', mode: options.write, seed }
  else if (options.verify !== undefined) {
    action = { what: 'verify', expectation: { mode: options.verify, seed, acknowledged: Number(options.acknowledged) } }
  }
  const rows: Row[] = []
  const add = (row: Row): void => {
    rows.push(row)
    announce(row)
  }
  mkdirSync(CACHE, { recursive: true })
  await onDevice(device, await buildGuestProgram(CACHE), action, (line, expectation) => {
    if (line.kind === 'ack') console.log(`acknowledged ${line.step}`)
    else if (line.kind === 'text') console.log(line.text)
    else if (line.kind === 'failed') add({ suite: 'device', name: 'job', ok: false, detail: line.message })
    else if (line.kind === 'result') add({ suite: 'device', name: line.name, ok: line.ok, detail: line.detail })
    else if (line.kind === 'verified' && expectation !== undefined) {
      const { step, problem } = judge(line, expectation)
      const detail = problem === '' ? `${line.granularity}, holds step ${String(step)}` : problem
      const name = `${line.mode}, ${expectation.acknowledged} acknowledged`
      add({ suite: 'device', name, ok: problem === '', detail })
    }
  })
  summarize(rows, device)
  writeResults(options.json, { device, seed, node: process.version, rows })
  return rows.every(({ ok }) => ok) ? 0 : 1
}

function writeResults(file: string, results: unknown): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
}

function summarize(rows: readonly Row[], what: string): void {
  const suites = [...new Set(rows.map(({ suite }) => suite))]
  const width = Math.max(10, ...suites.map((name) => name.length))
  console.log(
    `\n${'suite'.padEnd(width)}  ${'as expected'.padStart(11)}  ${'not'.padStart(5)}  ${'images'.padStart(6)}`,
  )
  for (const name of suites) {
    const own = rows.filter(({ suite }) => suite === name)
    const good = own.filter(({ ok }) => ok).length
    const images = own.reduce((sum, row) => sum + (row.images ?? 0), 0)
    const columns = [good, own.length - good].map((count, at) => String(count).padStart(at === 0 ? 11 : 5))
    console.log(`${name.padEnd(width)}  ${columns.join('  ')}  ${(images === 0 ? '' : String(images)).padStart(6)}`)
  }
  console.log(what)
}

function announce({ suite, name, ok, detail }: Row): void {
  clearProgress()
  const text = detail.trim().replaceAll(/\s*\n\s*/g, ' | ')
  console.log(
    `${ok ? 'ok    ' : 'FAILED'} ${suite}: ${name}: ${ok && text.length > 160 ? `${text.slice(0, 157)}...` : text}`,
  )
}

function say(text: string): void {
  clearProgress()
  console.error(`crash-tests:vm: ${text}`)
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

try {
  process.exitCode = await main()
} catch (error) {
  if (error instanceof DeviceRefused) {
    console.error(`crash-tests:vm: refused: ${error.message}`)
    process.exitCode = 2
  } else if (error instanceof Unavailable) {
    // Neither passed nor failed, and said so: exit status 77, as test harnesses understand "skipped".
    console.error(`crash-tests:vm: SKIPPED: ${error.message}`)
    process.exitCode = 77
  } else {
    throw error
  }
}
