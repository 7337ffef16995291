/**
 * The `package.json` of every package as it is published, with the one version that they all share.
 *
 * In the repository the launcher's manifest has neither a version nor the platform packages: the version is Cargo's, and a lockfile could
 * not name packages that are only published together with it.
 */
import type { Platform } from "./platforms";

/** A manifest, as far as we fill it in. */
export type Manifest = Record<string, unknown>;

/** What is the same in all packages of one release. */
export interface Release {
  readonly version: string;
  /** Where the sources are. npm refuses provenance when it is not the repository that publishes. */
  readonly repository: string | undefined;
}

const PROGRAMS_LICENSE = "Apache-2.0 AND GPL-3.0-or-later";

/** The name of a platform's package. */
export function packageName(platform: Platform): string {
  return `shell-tool-mcp-${platform.key}`;
}

/** The launcher's manifest: the one in the repository, completed. */
export function launcherManifest(source: Manifest, platforms: readonly Platform[], release: Release): Manifest {
  return {
    ...source,
    version: release.version,
    ...repositoryField(release),
    optionalDependencies: Object.fromEntries(platforms.map((platform) => [packageName(platform), release.version])),
  };
}

/** The manifest of a package that holds one platform's programs. */
export function platformManifest(platform: Platform, release: Release): Manifest {
  return {
    name: packageName(platform),
    version: release.version,
    description: `Native programs of shell-tool-mcp for ${platform.os} on ${platform.cpu}. Install shell-tool-mcp instead.`,
    license: PROGRAMS_LICENSE,
    ...repositoryField(release),
    os: [platform.os],
    cpu: [platform.cpu],
    // Yarn would otherwise keep the package zipped, and nothing can be executed out of an archive.
    preferUnplugged: true,
    files: ["bin", "bash-source", "LICENSE", "NOTICE", "COPYING.GPL-3", "README.md"],
  };
}

function repositoryField(release: Release): Manifest {
  if (release.repository === undefined) return {};
  return {
    homepage: `${release.repository}#readme`,
    bugs: { url: `${release.repository}/issues` },
    repository: { type: "git", url: `git+${release.repository}.git` },
  };
}
