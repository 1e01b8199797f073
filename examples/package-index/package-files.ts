/** Finding and reading the input: every package.json below a node_modules directory. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export interface PackageFile {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  /** Name -> range of versions. */
  readonly dependencies: ReadonlyMap<string, string>
}

/** Paths below the directory, sorted. */
export function findPackageFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name === 'package.json')
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort()
}

/** Undefined for a file that describes no package: no JSON, or without name and version. */
export function readPackageFile(path: string): PackageFile | undefined {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
  if (!isObject(json)) return undefined
  const { name, version, description, license, licenses } = json
  if (typeof name !== 'string' || typeof version !== 'string') return undefined
  const dependencies = new Map<string, string>()
  for (const field of ['peerDependencies', 'optionalDependencies', 'dependencies']) {
    const ranges = json[field]
    if (!isObject(ranges)) continue
    for (const [dependency, range] of Object.entries(ranges)) dependencies.set(dependency, String(range))
  }
  return {
    name,
    version,
    description: typeof description === 'string' ? description : '',
    license: licenseText(license ?? licenses),
    dependencies,
  }
}

/** Old packages have objects and lists of them. */
function licenseText(license: unknown): string {
  if (typeof license === 'string') return license
  if (Array.isArray(license)) return license.map(licenseText).join(' OR ')
  return isObject(license) && typeof license['type'] === 'string' ? license['type'] : '(none stated)'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
