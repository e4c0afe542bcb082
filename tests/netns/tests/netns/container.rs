//! Containers: Docker as the trials have it, and `shaper` in it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::docker::{self, BUSYBOX, Dockerd, cgroups};
use shaper_netns_tests::node::Node;
use shaper_netns_tests::world::GONE_WITHIN;
use shaper_netns_tests::{directory, process, wait};

const RUNTIME: &str = "container_runtime_joins_containers_and_leaves_nothing";
const STARTED_WITHIN: Duration = Duration::from_secs(30);

pub(crate) fn cases() -> Vec<Case> {
    [
        Case::once(RUNTIME, Load::Light, runtime),
        Case::once("container_runtime_of_a_killed_test_ends_with_it", Load::Light, killed),
    ]
    .map(|case| case.when(docker::available).deadline(Duration::from_secs(60)))
    .into()
}

fn runtime(_: &Context) {
    let node = Node::new("host", 1);
    let dockerd = Dockerd::start(&node);
    dockerd.build_busybox();
    dockerd.docker(&["network", "create", "data"]);
    for name in ["one", "two"] {
        dockerd.run(name, &["--network=data", BUSYBOX]);
    }
    let said = dockerd.exec("one", &["ping", "-c", "2", "-W", "5", "two"]);
    assert!(said.contains(" 0% packet loss"), "{said}");
    dockerd.remove("two");
    assert_eq!(dockerd.docker(&["ps", "--format={{.Names}}"]), "one");

    let (group, init) = (dockerd.cgroup().to_owned(), dockerd.init());
    let directory = dockerd.socket().parent().expect("a socket is in a directory").to_owned();
    let namespace = fs::read_link(format!("/proc/{init}/ns/pid")).expect("process 1 is there");
    let is_in = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|of| of == namespace);
    let processes = || {
        let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.parse::<i32>().is_ok() && is_in(name)).count()
    };
    // Process 1, Docker, containerd; what is in a container is in namespaces below.
    assert!(processes() >= 3 && !cgroups::find(&group).is_empty());
    drop(dockerd);
    assert_eq!(processes(), 0);
    assert_eq!(cgroups::find(&group), Vec::<std::path::PathBuf>::new());
    assert!(!directory.exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    assert!(!mounts.contains(&*directory.to_string_lossy()), "{mounts}");
}

fn killed(_: &Context) {
    let own = std::env::current_exe().expect("/proc/self/exe is readable");
    let mut test = Command::new(own)
        .args(["--exact", RUNTIME])
        .env_remove("SHAPER_REPORT")
        .env_remove("SHAPER_SHARD")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this binary can be started");
    // Its daemon is told of a directory of this name, and what that starts of the daemon's.
    let name = format!("shaper-test-{}-0", test.id());
    let processes = || {
        let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.map(process::command_line).filter(|line| line.contains(&name)).collect::<Vec<_>>()
    };
    wait::until("a container of the test runs", STARTED_WITHIN, || {
        processes().iter().any(|line| line.contains("containerd-shim")).then_some(())
    });
    test.kill().expect("our own child can be killed");
    test.wait().expect("our own child can be waited for");
    wait::until("nothing of the killed test runs", GONE_WITHIN, || processes().is_empty().then_some(()));
    // Files and control groups are for the next test binary to take away.
    directory::sweep();
    cgroups::sweep();
    assert_eq!(cgroups::find(&name), Vec::<std::path::PathBuf>::new());
    assert!(!std::env::temp_dir().join(&name).exists());
}
