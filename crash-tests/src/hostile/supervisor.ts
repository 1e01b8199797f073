/** Runs the campaign in processes of its own, watches that each gets on, and says which image ended one that does not. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

export interface WorkerTask {
  readonly seed: number
  readonly from: number
  readonly to: number
  readonly step: number
  /** File that holds the number of the image being judged. */
  readonly position: string
  /** Pool file for the native executor; without it images stay in memory. */
  readonly file?: string
  /** Where the bytes of an image that breaks a rule are kept. */
  readonly keep?: string
}

export interface WorkerResult {
  readonly verdicts: Readonly<Record<string, number>>
  readonly mutations: Readonly<Record<string, number>>
  readonly mostVisits: number
  readonly failure?: { readonly image: number; readonly message: string }
}

export interface CampaignOptions {
  /** Bundle of hostile-worker.ts. */
  readonly worker: string
  readonly seed: number
  readonly from: number
  readonly images: number
  readonly native: boolean
  /** For position files, pool files, and images that break a rule. */
  readonly directory: string
  /** Options of node and environment for the processes (sanitizers). */
  readonly execArgv?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly progress?: (judged: number) => void
}

export interface CampaignCounts {
  readonly verdicts: Map<string, number>
  readonly mutations: Map<string, number>
  readonly mostVisits: number
}

/** An image takes milliseconds; on the busiest machine one that takes this long does not come to its end. */
const STUCK_MS = 90_000
const WATCH_MS = 500

/** @throws Error naming the image, when one breaks a rule, crashes its process or does not come to its end. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignCounts> {
  const processes = Math.min(availableParallelism(), 4, options.images)
  const judged = new Array<number>(processes).fill(0)
  const results = await Promise.all(
    judged.map((_, index) =>
      runWorker(options, index, processes, (count) => {
        judged[index] = count
        options.progress?.(judged.reduce((sum, value) => sum + value, 0))
      }),
    ),
  )
  const failed = results.find(({ failure }) => failure !== undefined)?.failure
  if (failed !== undefined) throw failure(options, failed.image, failed.message)
  const verdicts = new Map<string, number>()
  const mutations = new Map<string, number>()
  for (const result of results) {
    for (const [name, count] of Object.entries(result.verdicts)) verdicts.set(name, (verdicts.get(name) ?? 0) + count)
    for (const [name, count] of Object.entries(result.mutations))
      mutations.set(name, (mutations.get(name) ?? 0) + count)
  }
  return { verdicts, mutations, mostVisits: Math.max(...results.map(({ mostVisits }) => mostVisits)) }
}

/** What `--replay` takes: everything an image follows from. */
export interface Replay {
  readonly suite: 'hostile'
  readonly seed: number
  readonly image: number
  readonly native: boolean
}

/** Keeps what is needed to see an image again, and says how. */
function failure({ seed, native, directory }: CampaignOptions, image: number, message: string): Error {
  const file = join(directory, `hostile-${seed}-${image}.json`)
  const replay: Replay = { suite: 'hostile', seed, image, native }
  writeFileSync(file, JSON.stringify(replay))
  return new Error(`${message}\nagain: npm run crash-tests -- --suite hostile --replay ${file}`)
}

function runWorker(
  options: CampaignOptions,
  index: number,
  step: number,
  progress: (count: number) => void,
): Promise<WorkerResult> {
  const { seed, from, images, directory } = options
  const name = `${options.native ? 'native' : 'memory'}-${index}`
  const task: WorkerTask = {
    seed,
    from: from + index,
    to: from + images,
    step,
    position: join(directory, `${name}.position`),
    keep: join(directory, `${name}.failed.pool`),
    ...(options.native ? { file: join(directory, `${name}.pool`) } : {}),
  }
  const child = spawn(process.execPath, [...(options.execArgv ?? []), options.worker, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: options.env ?? process.env,
  })
  return new Promise((resolve, reject) => {
    let output = ''
    let errors = ''
    let last = from
    let since = performance.now()
    let stuck = false
    const watch = setInterval(() => {
      const at = positionOf(task.position)
      if (at !== last) {
        last = at ?? last
        since = performance.now()
        progress(Math.floor((last - task.from) / step))
      } else if (performance.now() - since > STUCK_MS) {
        stuck = true
        child.kill('SIGKILL')
      }
    }, WATCH_MS)
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-8000)))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearInterval(watch)
      const image = positionOf(task.position) ?? task.from
      rmSync(task.position, { force: true })
      if (code === 0) {
        progress(Math.ceil((task.to - task.from) / step))
        resolve(JSON.parse(output) as WorkerResult)
        return
      }
      const how = stuck ? `did not come to its end in ${STUCK_MS / 1000} s` : `ended its process (${signal ?? code})`
      reject(failure(options, image, `image ${image} ${how}\n${errors}`))
    })
  })
}

function positionOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'latin1'))
  } catch {
    return undefined
  }
}
