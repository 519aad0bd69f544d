//! `sys/host-info`: the machine that the server runs on, from `/proc`, in the shape that Vault tells it.

use std::{fs, str::FromStr};

use keyturn_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::super::{Outcome, call::Call, error::Failure, reply::Reply};

/// Ticks of the kernel's CPU times in a second: fixed in its interface, whatever the kernel was built with.
const TICKS: f64 = 100.0;

/// File systems at the most: a container host has thousands of mounts.
const MAX_DISKS: usize = 64;

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let (now, request_id) = (call.core.now(), call.parsed.request_id.clone());
    call.permit.spend();
    // A file system of a server that does not answer blocks whoever asks for its size.
    let told = tokio::task::spawn_blocking(move || collect(now)).await;
    let (told, missing) = told.map_err(|error| Failure::internal(&error, &request_id))?;
    Ok(missing.into_iter().fold(Reply::data(&told)?, Reply::warn))
}

/// All that can be had, and what could not.
fn collect(now: Timestamp) -> (Map<String, Value>, Vec<String>) {
    let mut told = Map::from_iter([("timestamp".to_owned(), json!(now))]);
    let mut missing = Vec::new();
    let parts = [
        ("cpu", read_file("/proc/cpuinfo").map(|text| cpus(&text))),
        ("cpu_times", read_file("/proc/stat").map(|text| cpu_times(&text))),
        ("disk", read_file("/proc/self/mounts").map(|text| disks(&text))),
        ("host", host(now)),
        ("memory", read_file("/proc/meminfo").map(|text| memory(&text))),
    ];
    for (name, part) in parts {
        match part {
            Ok(value) => _ = told.insert(name.to_owned(), value),
            Err(error) => missing.push(format!("{name}: {error}")),
        }
    }
    (told, missing)
}

fn read_file(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// One entry for each processor.
fn cpus(text: &str) -> Value {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .enumerate()
        .map(|(index, block)| {
            let field = |name: &str| {
                let find = |line: &str| {
                    let (key, value) = line.split_once(':')?;
                    (key.trim() == name).then(|| value.trim().to_owned())
                };
                block.lines().find_map(find).unwrap_or_default()
            };
            json!({
                "cpu": number::<u64>(&field("processor")).unwrap_or(index as u64),
                "vendorId": field("vendor_id"),
                "family": field("cpu family"),
                "model": field("model"),
                "stepping": number::<i64>(&field("stepping")).unwrap_or(0),
                "physicalId": field("physical id"),
                "coreId": field("core id"),
                "cores": 1,
                "modelName": field("model name"),
                "mhz": number::<f64>(&field("cpu MHz")).unwrap_or(0.0),
                "cacheSize": number::<u64>(field("cache size").split(' ').next().unwrap_or_default()).unwrap_or(0),
                "flags": field("flags").split_whitespace().collect::<Vec<_>>(),
                "microcode": field("microcode"),
            })
        })
        .collect()
}

fn cpu_times(text: &str) -> Value {
    const NAMES: [&str; 10] =
        ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestNice"];
    let of_one_cpu = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    text.lines()
        .filter(of_one_cpu)
        .map(|line| {
            let mut words = line.split_whitespace();
            let mut told = Map::from_iter([("cpu".to_owned(), json!(words.next().unwrap_or_default()))]);
            for name in NAMES {
                let ticks: f64 = words.next().and_then(number).unwrap_or(0.0);
                told.insert(name.to_owned(), json!(ticks / TICKS));
            }
            Value::Object(told)
        })
        .collect()
}

/// File systems on devices; those that the kernel makes up are left out.
fn disks(mounts: &str) -> Value {
    let mut seen = Vec::new();
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, path, kind) = (words.next()?, words.next()?, words.next()?);
            if !device.starts_with('/') || seen.contains(&device) || seen.len() >= MAX_DISKS {
                return None;
            }
            seen.push(device);
            let path = unescape(path);
            let size = rustix::fs::statvfs(path.as_str()).ok()?;
            Some(disk(&path, kind, &size))
        })
        .collect()
}

fn disk(path: &str, kind: &str, size: &rustix::fs::StatVfs) -> Value {
    let bytes = |blocks: u64| blocks.saturating_mul(size.f_frsize);
    let used = size.f_blocks.saturating_sub(size.f_bfree);
    let used_inodes = size.f_files.saturating_sub(size.f_ffree);
    json!({
        "path": path,
        "fstype": kind,
        "total": bytes(size.f_blocks),
        "free": bytes(size.f_bavail),
        "used": bytes(used),
        "usedPercent": percent(used, used.saturating_add(size.f_bavail)),
        "inodesTotal": size.f_files,
        "inodesUsed": used_inodes,
        "inodesFree": size.f_ffree,
        "inodesUsedPercent": percent(used_inodes, size.f_files),
    })
}

/// `/proc` writes white space and backslashes of paths in octal.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

fn host(now: Timestamp) -> Result<Value, String> {
    let uptime = read_file("/proc/uptime")?;
    let uptime: f64 = uptime.split('.').next().and_then(number).unwrap_or(0.0);
    let kernel = |name: &str| read_file(&format!("/proc/sys/kernel/{name}")).map(|text| text.trim().to_owned());
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let processes = processes.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_process)).count();
    let release = read_file("/etc/os-release").unwrap_or_default();
    let of_release = |name: &str| {
        let find = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.trim_matches('"').to_owned());
        release.lines().find_map(find).unwrap_or_default()
    };
    Ok(json!({
        "hostname": kernel("hostname")?,
        "uptime": whole(uptime),
        "bootTime": now.as_second().saturating_sub(whole(uptime)).max(0),
        "procs": processes,
        "os": std::env::consts::OS,
        "platform": of_release("ID"),
        "platformFamily": of_release("ID_LIKE"),
        "platformVersion": of_release("VERSION_ID"),
        "kernelVersion": kernel("osrelease")?,
        "kernelArch": std::env::consts::ARCH,
        "virtualizationSystem": "",
        "virtualizationRole": "",
        "hostid": kernel("random/boot_id").unwrap_or_default(),
    }))
}

/// Vault's names of what the kernel tells, in bytes.
fn memory(text: &str) -> Value {
    const NAMES: [(&str, &str); 24] = [
        ("MemTotal", "total"),
        ("MemAvailable", "available"),
        ("MemFree", "free"),
        ("Active", "active"),
        ("Inactive", "inactive"),
        ("Buffers", "buffers"),
        ("Cached", "cached"),
        ("Writeback", "writeback"),
        ("Dirty", "dirty"),
        ("WritebackTmp", "writebacktmp"),
        ("Shmem", "shared"),
        ("Slab", "slab"),
        ("SReclaimable", "sreclaimable"),
        ("SUnreclaim", "sunreclaim"),
        ("PageTables", "pagetables"),
        ("SwapCached", "swapcached"),
        ("CommitLimit", "commitlimit"),
        ("Committed_AS", "committedas"),
        ("SwapTotal", "swaptotal"),
        ("SwapFree", "swapfree"),
        ("Mapped", "mapped"),
        ("VmallocTotal", "vmalloctotal"),
        ("VmallocUsed", "vmallocused"),
        ("Hugepagesize", "hugepagesize"),
    ];
    let kibibytes = |name: &str| -> u64 {
        let find = |line: &str| {
            let (key, value) = line.split_once(':')?;
            (key == name).then(|| value.split_whitespace().next().and_then(number).unwrap_or(0))
        };
        text.lines().find_map(find).unwrap_or(0)
    };
    let bytes = |name: &str| kibibytes(name).saturating_mul(1024);
    let mut told: Map<String, Value> =
        NAMES.iter().map(|(kernel, told)| ((*told).to_owned(), json!(bytes(kernel)))).collect();
    let used = bytes("MemTotal").saturating_sub(bytes("MemAvailable"));
    told.insert("used".to_owned(), json!(used));
    told.insert("usedPercent".to_owned(), json!(percent(used, bytes("MemTotal"))));
    Value::Object(told)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[allow(clippy::cast_precision_loss, reason = "a percentage of bytes")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

#[allow(clippy::cast_possible_truncation, reason = "seconds since the machine was started")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        let told = memory("MemTotal:  100 kB\nMemAvailable:   25 kB\nHugePages_Total: 0\n");
        assert_eq!(
            (&told["total"], &told["used"], &told["usedPercent"]),
            (&json!(102_400), &json!(76_800), &json!(75.0))
        );
    }

    #[test]
    fn each_processor_has_its_entry() {
        let told = cpus("processor\t: 0\nmodel name\t: A: B\nflags\t\t: x y\n\nprocessor\t: 1\n\n");
        assert_eq!(
            (&told[0]["modelName"], &told[0]["flags"], &told[1]["cpu"]),
            (&json!("A: B"), &json!(["x", "y"]), &json!(1))
        );
        let times = cpu_times("cpu  9 9\ncpu0 150 0 50 900\nintr 5\n");
        assert_eq!(
            (times.as_array().map(Vec::len), &times[0]["user"], &times[0]["idle"]),
            (Some(1), &json!(1.5), &json!(9.0))
        );
    }

    #[test]
    fn made_up_file_systems_are_left_out() {
        let told = disks("proc /proc proc rw 0 0\n/dev/x / ext4 rw 0 0\n/dev/x /again ext4 rw 0 0\n");
        assert_eq!((told.as_array().map(Vec::len), &told[0]["path"]), (Some(1), &json!("/")));
        assert_eq!(unescape("/a\\040b"), "/a b");
    }
}
