//! Servers that people develop with, started inside and opened in Chromium by their published ports: Django's, Next.js's, and
//! JupyterLab with a kernel. `make test-browser` fetches them.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};

use super::browser::{Browser, free_port, published};

/// The Python with Django and JupyterLab.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("servers").join("bin/python");
    assert!(python.exists(), "make test-browser installs {}", python.display());
    python
}

/// Writes files of the workspace.
fn write(world: &World, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = world.workdir().join(name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
}

/// Starts a server inside at a port that is published: its client, the port, and where it is to be found.
async fn serve(world: &World, command: impl Fn(u16) -> String) -> (Client, u16, String) {
    let port = free_port();
    let client = Client::start_with(world, &Person::absent(), &["--publish", &port.to_string()]).await;
    let url = published(&client, world, &command(port)).await;
    (client, port, url)
}

/// A whole site, whose page is loaded again and again.
const DJANGO: &str = r#"
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
PAGE = """<script>
console.log("version 1 of the site at " + location.host);
setTimeout(() => location.reload(), 500);
</script>"""
settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF=__name__)
urlpatterns = [path("", lambda request: HttpResponse(PAGE))]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"#;

#[tokio::test]
#[ignore = "it needs the registries: make test-browser"]
async fn django_shows_what_changes_while_it_runs() {
    let world = World::with_rules("").configured("");
    write(&world, &[("site.py", DJANGO)]);
    let serving = |port| format!("exec {} site.py runserver {port}", python().display());
    let (_client, port, url) = serve(&world, serving).await;
    let browser = Browser::open(&world, &url);
    browser.prints(&format!("version 1 of the site at 127.0.0.1:{port}")).await;
    // It sees a change by itself, and starts again.
    write(&world, &[("site.py", &DJANGO.replace("version 1", "version 2"))]);
    browser.prints("version 2 of the site").await;
}

const LAYOUT: &str = "export default ({ children }) => <html><body>{children}</body></html>;\n";

const PAGE: &str = r#""use client";
import { useEffect } from "react";
export default function Page() {
  useEffect(() => console.log("version 1 of the page at " + location.host));
  return <p>hello</p>;
}
"#;

#[tokio::test]
#[ignore = "it needs the registries: make test-browser"]
async fn next_shows_what_changes_while_it_is_shown() {
    let world = World::with_rules("").configured("");
    write(
        &world,
        &[("package.json", "{\"private\": true}"), ("app/layout.js", LAYOUT), ("app/page.js", PAGE)],
    );
    let install =
        ["install", "--no-audit", "--no-fund", "--loglevel=error", "next@15.5", "react@19", "react-dom@19"];
    let installed = Command::new("npm").args(install).current_dir(world.workdir()).output().expect("npm");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let serving = |port| format!("exec node_modules/.bin/next dev -p {port}");
    let (_client, port, url) = serve(&world, serving).await;
    let browser = Browser::open(&world, &url);
    browser.prints(&format!("version 1 of the page at 127.0.0.1:{port}")).await;
    // By its web socket, without being loaded again.
    write(&world, &[("app/page.js", &PAGE.replace("version 1", "version 2"))]);
    browser.prints("[Fast Refresh] done").await;
    browser.prints("version 2 of the page").await;
}

const NOTEBOOK: &str = r#"{"cells": [{"cell_type": "code", "execution_count": null, "id": "a", "metadata": {}, "outputs": [],
  "source": ["print('hello of the kernel', 6 * 7)"]}], "metadata": {"kernelspec": {"display_name": "Python 3",
  "language": "python", "name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}"#;

/// A page around JupyterLab, which does what a person would: says yes, has the notebook run, and reads what it prints.
const AROUND_JUPYTER: &str = r#"<!doctype html><iframe src="/lab/tree/hello.ipynb" width=1000 height=700></iframe><script>
const frame = document.querySelector("iframe");
setInterval(() => {
  const find = what => frame.contentWindow.document.querySelector(what);
  const dialog = find(".jp-Dialog button.jp-mod-accept");
  const output = find(".jp-OutputArea-output");
  if (output) {
    console.log(output.textContent);
  } else if (dialog) {
    dialog.click();
  } else if (find(".jp-Notebook-ExecutionIndicator[data-status=idle]")) {
    frame.contentWindow.jupyterapp.commands.execute("notebook:run-all-cells");
  }
}, 1000);
</script>"#;

#[tokio::test]
#[ignore = "it needs the registries: make test-browser"]
async fn jupyter_runs_a_notebook_by_its_web_socket() {
    let world = World::with_rules("").configured("");
    write(&world, &[("hello.ipynb", NOTEBOOK), ("around/page.html", AROUND_JUPYTER)]);
    let serving = |port| {
        format!(
            "exec {} -m jupyterlab --no-browser --allow-root --port {port} --IdentityProvider.token= \
             --expose-app-in-browser --ServerApp.extra_static_paths='[\"around\"]'",
            python().display()
        )
    };
    let (_client, port, url) = serve(&world, serving).await;
    let browser = Browser::open(&world, &format!("{url}static/page.html"));
    browser.prints(&format!("Starting WebSocket: ws://127.0.0.1:{port}/api/kernels/")).await;
    browser.prints("hello of the kernel 42").await;
}
