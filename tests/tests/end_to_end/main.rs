//! End-to-end tests: one module per stage.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test stands on must break the test when it breaks"
)]

mod answers;
mod approval_channels;
mod approval_webhook;
mod approve_subcommand;
mod audit;
mod background;
mod bash_faithful;
mod bash_hook;
mod caches;
mod calls;
mod connections;
mod debuggers;
mod devices;
mod doctor;
mod embedding;
mod ending;
mod environment;
mod escalation;
mod faithful;
mod fallback;
mod first_hour;
mod git_again;
mod hosts_by_name;
mod hosts_by_proxy;
mod hosts_granted;
mod hosts_programs;
mod http;
mod http_approvals;
mod http_ending;
mod http_handles;
mod http_identity;
mod http_rolling;
mod http_runtime;
mod http_seen;
mod http_traces;
mod inherited;
mod input;
mod kept_sessions;
mod kept_shells;
mod kernel_door;
mod kernel_door_games;
mod kernel_door_hostile;
mod kernel_door_programs;
mod kernel_door_races;
mod live_rules;
mod load;
mod login;
mod metadata;
mod name_service;
mod names;
mod names_git;
mod names_index;
mod output;
mod over_http;
mod package_managers;
mod packaging;
mod parked_calls;
mod patches;
mod poison;
mod policy;
mod progress;
mod protocol;
mod published;
mod recipes;
mod refusals;
mod retry;
mod rights;
mod rights_held;
mod rules;
mod sandbox;
mod servers_inside;
mod services;
mod sessions;
mod setup;
mod static_programs;
mod succession;
mod tasks;
mod terminals;
mod texts;
mod unable;
