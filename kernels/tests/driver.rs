//! The driver layer on a fake driver. Each case runs in a process of its own, started by its test: a program loads a
//! driver once.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "driver/fake.rs"]
mod fake;

use mergevit_kernels::cuda::driver::{self, Driver};
use mergevit_kernels::cuda::{
    Device, DeviceError, Launch, LayerNormParams, NormParams, layer_norm,
};
use std::process::Command;
use std::time::Duration;

/// Set where a process of this program has to use the driver.
const ROLE: &str = "FAKE_ROLE";

/// Runs [`role`] with these settings of the driver; returns what it printed, and what was not released.
fn run(settings: &[(&str, &str)]) -> (String, String) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "role", "--nocapture", "--ignored"])
        .env(ROLE, "")
        .env("LD_LIBRARY_PATH", fake::folder())
        .envs(settings.iter().copied())
        .output()
        .expect("this program runs");
    assert!(output.status.success(), "{settings:?}: {output:?}");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let said = stdout.lines().find_map(|line| line.split_once("said: "));
    let said = said.map(|(_, said)| said.to_owned());
    let stderr = String::from_utf8(output.stderr).expect("text");
    let live = stderr.lines().rfind(|line| line.starts_with("live "));
    (
        said.unwrap_or_else(|| panic!("{stdout}")),
        live.unwrap_or("live ?").to_owned(),
    )
}

/// Does everything that a device can do.
fn use_device(device: &mut Driver) -> Result<(), DeviceError> {
    let address = device.allocate(1000)?;
    assert!(address.0.is_multiple_of(256));
    let mut bytes = vec![1; 1000];
    device.read(address, &mut bytes)?;
    assert!(
        bytes.iter().all(|&byte| byte == 0),
        "memory starts as zeros"
    );
    device.write(address, &[7; 1000])?;
    device.read(address, &mut bytes)?;
    assert!(bytes.iter().all(|&byte| byte == 7));
    let shared = device.allocate_shared(64)?;
    assert!(device.shared_address(shared).0.is_multiple_of(64));
    assert_eq!(device.shared_bytes(shared)?, [0; 64]);

    let mut expected = [0; 64];
    expected[32..48].fill(7);
    device.shared_bytes(shared)?.copy_from_slice(&expected);

    device.send(shared, 48, address)?;
    device.read(address, &mut bytes[..64])?;
    assert_eq!(bytes[..48], expected[..48]);
    assert_eq!(bytes[48..64], [7; 16]);

    device.copy(address, 32, address.offset(64))?;
    device.read(address.offset(64), &mut bytes[..40])?;
    assert_eq!(bytes[..32], expected[..32]);
    assert_eq!(bytes[32..40], [7; 8]);

    let launch: Launch = layer_norm(&LayerNormParams {
        rows: 5,
        norm: NormParams {
            width: 64,
            ..NormParams::default()
        },
        ..LayerNormParams::default()
    });
    device.launch(&launch)?;
    device.shared_bytes(shared)?.fill(1);
    let graph = device.record(&[launch, launch])?;
    device.replay(graph)?;
    device.synchronize()?;
    assert_eq!(device.time(&[launch], 3)?, Duration::from_millis(1));
    let mut large = launch;
    large.threads = 2048;
    assert!(device.launch(&large).is_err());
    assert!(device.record(&[launch, large]).is_err());
    // Recording has ended despite the errors.
    device.synchronize()
}

/// Not a test: what [`run`] runs.
#[test]
#[ignore = "runs only where a test asks for it"]
fn role() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let said = match driver::open(0) {
        Err(error) => error.to_string(),
        Ok(mut device) => {
            let result = use_device(&mut device);
            // Dropped on another thread than the one that opened it.
            let thread = std::thread::spawn(move || drop(device));
            thread.join().expect("dropping never panics");
            result.map_or_else(|error| error.to_string(), |()| "all fine".into())
        }
    };
    println!("\nsaid: {said}");
}

#[test]
fn everything_is_given_back() {
    for capability in ["87", "80", "90", "120"] {
        let settings = [("FAKE_CAPABILITY", capability)];
        assert_eq!(run(&settings), ("all fine".into(), "live 0".into()));
    }
}

#[test]
fn machine_code_that_is_refused_is_made_from_ptx() {
    let settings = [("FAKE_REFUSE_ELF", "1")];
    assert_eq!(run(&settings), ("all fine".into(), "live 0".into()));
}

#[test]
fn refusals_say_what_is_missing() {
    let case = |settings: &[(&str, &str)], expected: &str| {
        let (said, live) = run(settings);
        assert_eq!(said, expected);
        assert_eq!(live, "live 0");
    };
    case(
        &[("FAKE_DEVICES", "0")],
        "the NVIDIA driver finds no device",
    );
    case(
        &[("FAKE_FAIL", "cuInit"), ("FAKE_ERROR", "34")],
        "the NVIDIA driver does not start: CUDA_ERROR_OTHER: something else",
    );
    case(
        &[("FAKE_CAPABILITY", "75")],
        "Fake 0: compute capability 7.5, expected 8.0 or later",
    );
    case(
        &[("FAKE_VERSION", "11040")],
        "Fake 0: driver for CUDA 11.4, expected 12.0 or later",
    );
    case(
        &[("FAKE_CAPABILITY", "90"), ("FAKE_VERSION", "11080")],
        "Fake 0: driver for CUDA 11.8, expected 12.0 or later",
    );
    case(
        &[
            ("FAKE_CAPABILITY", "90"),
            ("FAKE_FAIL", "cuModuleLoadDataEx"),
        ],
        "Fake 0: the driver refuses compute_80 PTX \"gemm_requantize\": CUDA_ERROR_OTHER: something else; \
         ptxas fatal",
    );
    case(
        &[("FAKE_FAIL", "cuMemAlloc_v2"), ("FAKE_ERROR", "2")],
        "Fake 0: allocate 1000 bytes of device memory: CUDA_ERROR_OUT_OF_MEMORY: out of memory, 1000 bytes \
         free of 2000",
    );
    case(
        &[("FAKE_FAIL", "cuMemHostAlloc"), ("FAKE_ERROR", "2")],
        "Fake 0: allocate 64 bytes of page-locked memory: CUDA_ERROR_OUT_OF_MEMORY: out of memory, 1000 bytes \
         free of 2000",
    );
}

/// Whatever fails: an error that names the device, no panic, nothing leaked.
#[test]
fn every_failure_is_an_error() {
    for function in [
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent",
        "cuStreamCreate",
        "cuModuleGetFunction",
        "cuFuncGetAttribute",
        "cuFuncSetAttribute",
        "cuMemsetD8Async",
        "cuMemcpyHtoDAsync_v2",
        "cuMemcpyDtoHAsync_v2",
        "cuMemcpyDtoDAsync_v2",
        "cuMemHostGetDevicePointer_v2",
        "cuLaunchKernel",
        "cuStreamBeginCapture_v2",
        "cuGraphInstantiateWithFlags",
        "cuGraphUpload",
        "cuGraphLaunch",
        "cuStreamSynchronize",
        "cuEventCreate",
        "cuEventRecord",
        "cuEventElapsedTime",
    ] {
        let (said, live) = run(&[("FAKE_FAIL", function)]);
        assert!(said.starts_with("Fake 0: "), "{function}: {said}");
        assert!(
            said.ends_with("CUDA_ERROR_OTHER: something else"),
            "{function}: {said}"
        );
        assert_eq!(live, "live 0", "{function}");
    }
}
