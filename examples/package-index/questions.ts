/** Questions the indexes answer. Keys are ordered arrays, so equal first elements lie together. */
import type { PackageIndex } from './schema.js'

type Count = [name: string, count: number]

/** The packages most other packages ask for; versions of a dependent count once. */
export function mostDependedUpon(index: PackageIndex, limit: number): Count[] {
  const counts = new Map<string, Set<string>>()
  for (const [dependency, name] of index.dependents.keys()) {
    const names = counts.get(dependency) ?? new Set()
    counts.set(dependency, names.add(name))
  }
  return largest(
    Array.from(counts, ([dependency, names]) => [dependency, names.size]),
    limit,
  )
}

/** Packages installed in more than one version. */
export function severalVersions(index: PackageIndex): [name: string, versions: string[]][] {
  const versions = new Map<string, string[]>()
  for (const [name, version] of index.packages.keys()) versions.set(name, [...(versions.get(name) ?? []), version])
  return [...versions].filter(([, list]) => list.length > 1).sort((a, b) => b[1].length - a[1].length)
}

export function byLicense(index: PackageIndex): Count[] {
  const counts = new Map<string, number>()
  for (const [license] of index.licenses.keys()) counts.set(license, (counts.get(license) ?? 0) + 1)
  return largest([...counts], Infinity)
}

/** Who asks for a package, and for which versions of it: the stretch of keys whose first element is its name. */
export function dependentsOf(index: PackageIndex, dependency: string): string[] {
  return Array.from(
    index.dependents.range({ gte: [dependency, '', ''], lt: [`${dependency}\0`, '', ''] }),
    ([[, name], { range }]) => `${name} (${range})`,
  )
}

function largest(counts: Count[], limit: number): Count[] {
  return counts.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, limit)
}
