#!/usr/bin/env node
/** The command `daxkv`: each command is a file of its own and knows the library by its public face only. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { DaxkvError } from '../index.js'
import { addCheck } from './check.js'
import { CliError } from './cli-error.js'
import { addDelete } from './delete.js'
import { addDump } from './dump.js'
import { EXIT_CODES_HELP, EXIT_OK, EXIT_USAGE, exitCodeOf } from './exit-codes.js'
import { addGet } from './get.js'
import { addInfo } from './info.js'
import { addLoad } from './load.js'
import { OutputClosed } from './output.js'
import { addProbe } from './probe.js'
import { addPut } from './put.js'
import { addRange } from './range.js'

function createProgram(): Command {
  const program = new Command('daxkv')
  program
    .description('Look into, check, fill and dump daxkv pools.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', `\n${EXIT_CODES_HELP}\n\nSee daxkv <command> --help for options and examples.`)
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // reported below, like every other error
  for (const add of [addInfo, addCheck, addGet, addPut, addDelete, addRange, addLoad, addDump, addProbe]) add(program)
  return program
}

function version(): string {
  // Two levels up from src/cli and from dist/cli alike.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

async function run(args: readonly string[]): Promise<number> {
  // A closed standard output is met where it is written to (`Output`); here it only must not kill the process.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  try {
    if (args.length === 0) {
      createProgram().outputHelp({ error: true })
      return EXIT_USAGE
    }
    await createProgram().parseAsync(args, { from: 'user' })
    return EXIT_OK
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT_OK
    if (error instanceof CommanderError) return reportUsage(error, args)
    process.stderr.write(`daxkv: ${codeOf(error)}: ${oneLine(messageOf(error))}\n`)
    if (args.includes('--verbose')) process.stderr.write(`${stackOf(error)}\n`)
    return exitCodeOf(error)
  }
}

function reportUsage(error: CommanderError, args: readonly string[]): number {
  // Help and version come this way too.
  if (error.exitCode === 0) return EXIT_OK
  const known = createProgram().commands.some((command) => command.name() === args[0])
  const help = `see daxkv ${known ? `${args[0]} ` : ''}--help`
  const message = oneLine(error.message.replace(/^error: /, '')).replace(/\.$/, '')
  process.stderr.write(`daxkv: USAGE: ${message}; ${help}\n`)
  return EXIT_USAGE
}

function codeOf(error: unknown): string {
  if (error instanceof DaxkvError || error instanceof CliError) return error.code
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' ? code : 'INTERNAL'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const stack = error.stack ?? error.message
  return error.cause === undefined ? stack : `${stack}\ncaused by ${stackOf(error.cause)}`
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ')
}

const status = await run(process.argv.slice(2))
if (status !== EXIT_OK) process.exitCode = status
