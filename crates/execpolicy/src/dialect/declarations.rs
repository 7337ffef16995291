//! What one rules file declares, before it is joined with the others to a policy.

use crate::examples::Example;
use crate::host::HostExecutables;
use crate::network::NetworkRule;
use crate::patch::PatchRule;
use crate::rights::Profile;
use crate::rule::PrefixRule;

/// What one file declares.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) rules: Vec<PrefixRule>,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) hosts: HostExecutables,
    pub(crate) network: Vec<NetworkRule>,
    pub(crate) patches: Vec<PatchRule>,
    pub(crate) examples: Vec<Example>,
}
