//! Whose own credentials lie where: hidden places that a program gets to see outside that needs them for its work.
//!
//! No security hangs on this table: what is not in it stays hidden, and a rule can grant it (`grants = {"read": […]}`).
//! A program that shows whatever file it is told to (`cat`, `grep`, `jq`, `cp`, `curl`) has no row.

use std::path::{Path, PathBuf};

/// Programs, and places in the home folder.
const OWN: &[(&[&str], &[&str])] = &[
    (&["aws", "eksctl", "sam", "cdk"], &[".aws"]),
    (&["az", "azd"], &[".azure"]),
    (&["gcloud", "gsutil", "bq"], &[".config/gcloud", ".boto"]),
    (&["doctl"], &[".config/doctl"]),
    (&["oci"], &[".oci"]),
    (&["helm", "k9s", "flux", "kustomize", "oc", "skaffold"], &[".kube"]),
    (&["argocd"], &[".config/argocd", ".kube"]),
    (&["podman", "buildah", "skopeo"], &[".config/containers/auth.json", ".docker"]),
    (&["glab"], &[".config/glab-cli"]),
    (&["hub"], &[".config/hub"]),
    (&["twine", "flit", "hatch"], &[".pypirc"]),
    (&["poetry"], &[".config/pypoetry/auth.toml"]),
    (&["gem"], &[".gem/credentials"]),
    (&["composer"], &[".composer/auth.json", ".config/composer/auth.json"]),
    (&["terraform", "tofu"], &[".terraform.d/credentials.tfrc.json", ".terraformrc", ".aws", ".azure"]),
    (&["pulumi"], &[".pulumi/credentials.json", ".aws", ".azure"]),
    (&["vault"], &[".vault-token"]),
    (&["pass", "gopass"], &[".password-store", ".gnupg"]),
    (&["psql", "pg_dump", "pg_restore", "createdb"], &[".pgpass"]),
    (&["mysql", "mysqldump", "mariadb"], &[".my.cnf"]),
    (&["databricks"], &[".databrickscfg"]),
    (&["rclone"], &[".config/rclone"]),
    (&["s3cmd"], &[".s3cfg"]),
    (&["fly", "flyctl"], &[".fly/config.yml"]),
    (&["hcloud"], &[".config/hcloud"]),
    (&["scw"], &[".config/scw"]),
    (&["vercel"], &[".local/share/com.vercel.cli"]),
    (&["netlify"], &[".config/netlify"]),
    (&["wrangler"], &[".wrangler", ".config/.wrangler"]),
    (&["supabase"], &[".supabase/access-token"]),
    (&["stripe"], &[".config/stripe"]),
    (&["sentry-cli"], &[".sentryclirc"]),
    (&["circleci"], &[".circleci/cli.yml", ".config/circleci"]),
    (&["ngrok"], &[".config/ngrok", ".ngrok2"]),
    (&["heroku"], &[".netrc"]),
    (&["snow", "snowsql"], &[".snowflake"]),
    (&["hf", "huggingface-cli"], &[".cache/huggingface", ".huggingface"]),
    (&["kaggle"], &[".kaggle"]),
    (&["svn"], &[".subversion/auth"]),
    (&["op"], &[".config/op"]),
    (&["ssh-add", "ssh-copy-id"], &[".ssh"]),
];

/// The places that a program's own credentials are in.
pub(super) fn of(program: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let name = program.file_name().unwrap_or_default();
    let rows = OWN.iter().filter(|(programs, _)| programs.iter().any(|known| name == *known));
    rows.flat_map(|(_, places)| places.iter().filter_map(|place| Some(home?.join(place)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_any_file_has_no_row() {
        let of = |program: &str| of(&Path::new("/usr/bin").join(program), Some(Path::new("/home/u")));
        assert_eq!(of("aws"), [PathBuf::from("/home/u/.aws")]);
        for program in ["cat", "grep", "jq", "cp", "curl", "sed", "awk", "tar", "head", "xxd", "rsync"] {
            assert_eq!(of(program), Vec::<PathBuf>::new(), "{program}");
        }
    }
}
