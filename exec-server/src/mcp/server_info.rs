//! Who this server is, in each result: since 2026-07-28 there is no `initialize` that would say it once.

use rmcp::RoleServer;
use rmcp::model::{DiscoverResult, Implementation, MetaObject, ProtocolVersion, ServerConfig};
use rmcp::service::RequestContext;

/// The key that the specification reserves for it.
const KEY: &str = "io.modelcontextprotocol/serverInfo";

/// The server's name and version.
pub(super) fn server_info() -> Implementation {
    Implementation::new("shell-tool-mcp", env!("CARGO_PKG_VERSION")).with_title("Shell tool")
}

/// What clients of 2026-07-28 discover. They are told of changes to the list of tools when they subscribe to them,
/// which nobody can: a successor tells those that have sent `initialize`.
pub(super) fn discovered(versions: &[ProtocolVersion], mut config: ServerConfig) -> DiscoverResult {
    if let Some(tools) = &mut config.capabilities.tools {
        tools.list_changed = None;
    }
    DiscoverResult::from_server_info(versions.to_vec(), config)
}

/// Whether results of this request have it: older clients know it from `initialize`.
pub(super) fn is_wanted(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Adds it to the result's metadata where it is wanted.
pub(super) fn add_if_wanted(context: &RequestContext<RoleServer>, meta: &mut Option<MetaObject>) {
    if is_wanted(context) {
        add(meta);
    }
}

/// Adds it to a result's metadata.
pub(super) fn add(meta: &mut Option<MetaObject>) {
    if let Ok(info) = serde_json::to_value(server_info()) {
        meta.get_or_insert_with(MetaObject::new).insert(KEY.to_owned(), info);
    }
}
