//! Containers: Docker as the trials have it, and `shaper` in it.

use std::fs;
use std::time::Duration;

use shaper_netns_tests::case::{Case, Context, Load};
use shaper_netns_tests::docker::{self, BUSYBOX, Dockerd, cgroups};
use shaper_netns_tests::node::Node;

pub(crate) fn cases() -> Vec<Case> {
    [Case::once("container_runtime_joins_containers_and_leaves_nothing", Load::Light, runtime)]
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
