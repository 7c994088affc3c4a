//! The driver layer on a fake driver. Each case runs in a process of its own, started by its test: a program loads a
//! driver once.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "driver/fake.rs"]
mod fake;

use mergevit_kernels::cuda::driver::{self, Driver, OpenOptions, Wait};
use mergevit_kernels::cuda::{
    Address, AttentionOperands, AttentionShape, Device, DeviceError, HeadWidth, Launch,
    LayerNormParams, NormParams, Prefetch, Target, attention, layer_norm,
};
use std::process::{Command, Output};
use std::time::Duration;

/// Set where a process of this program has to use the driver.
const ROLE: &str = "FAKE_ROLE";

/// Set to how many multiprocessors it asks for, and to let it sleep while it waits.
const MULTIPROCESSORS: &str = "FAKE_ROLE_MULTIPROCESSORS";
const BLOCK: &str = "FAKE_ROLE_BLOCK";

/// Runs [`role`] with these settings of the driver.
fn process(settings: &[(&str, &str)]) -> Output {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "role", "--nocapture", "--ignored"])
        .env(ROLE, "")
        .env("LD_LIBRARY_PATH", fake::folder())
        .envs(settings.iter().copied())
        .output()
        .expect("this program runs");
    assert!(output.status.success(), "{settings:?}: {output:?}");
    output
}

/// Runs [`role`] with these settings of the driver; returns what it printed, and what was not released.
fn run(settings: &[(&str, &str)]) -> (String, String) {
    let output = process(settings);
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
    device.launch(&with_shared_memory())?;
    device.shared_bytes(shared)?.fill(1);
    let graph = device.record(&[launch, launch])?;
    device.replay(graph)?;
    device.synchronize()?;
    assert_eq!(device.time(&[launch], 3)?, Duration::from_millis(1));
    let alone = device.time_after(&[launch, launch], &[launch], 3)?;
    assert_eq!(alone, Duration::from_millis(3));
    let mut large = launch;
    large.threads = 2048;
    assert!(device.launch(&large).is_err());
    assert!(device.record(&[launch, large]).is_err());
    // Recording has ended despite the errors.
    device.synchronize()
}

/// A launch that sizes the shared memory of its blocks.
fn with_shared_memory() -> Launch {
    let shape = AttentionShape {
        batch: 1,
        tokens: 197,
        queries: 197,
        heads: 12,
        head_width: HeadWidth::W64,
    };
    let operands = AttentionOperands {
        sizes: Address::NULL,
        log2_size: Address::NULL,
        score_scale: Address::NULL,
        context_scale: Address::NULL,
        context: Address::NULL,
        next: Prefetch::default(),
    };
    attention(&shape, &Target::ORIN_NANO, Address::NULL, &operands)
}

/// What the device said of itself and its kernels.
fn described(device: &Driver) -> String {
    let info = device.info();
    let local: u32 = device.resources().map(|kernel| kernel.local_bytes).sum();
    let registers = device.resources().all(|kernel| kernel.registers == 40);
    format!(
        "{} multiprocessors, {} KB of L2, spilled: {}, registers: {registers}",
        info.multiprocessors,
        info.l2_bytes >> 10,
        local != 0
    )
}

/// Not a test: what [`run`] runs.
#[test]
#[ignore = "runs only where a test asks for it"]
fn role() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let options = OpenOptions {
        wait: match std::env::var_os(BLOCK) {
            None => Wait::Spin,
            Some(_) => Wait::Block,
        },
        multiprocessors: std::env::var(MULTIPROCESSORS)
            .ok()
            .map(|number| number.parse().expect("a number")),
    };
    let said = match driver::open(0, &options) {
        Err(error) => error.to_string(),
        Ok(mut device) => {
            println!("\ndescribed: {}", described(&device));
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

/// What a device says of itself and its kernels, and whether all that was asked of it went well there.
fn describe(settings: &[(&str, &str)]) -> String {
    let output = process(settings);
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(stdout.contains("said: all fine"), "{stdout}");
    let line = stdout
        .lines()
        .find_map(|line| line.split_once("described: "));
    line.unwrap_or_else(|| panic!("{stdout}")).1.to_owned()
}

#[test]
fn kernels_are_described_as_the_driver_loaded_them() {
    assert_eq!(
        describe(&[]),
        "8 multiprocessors, 2048 KB of L2, spilled: false, registers: true"
    );
    let spilled = describe(&[("FAKE_LOCAL_BYTES", "16")]);
    assert!(spilled.contains("spilled: true"), "{spilled}");
}

/// The fake driver refuses what happens in a context without the flags that it is told to expect.
#[test]
fn waiting_spins_unless_it_is_to_save_power() {
    let fine = ("all fine".to_owned(), "live 0".to_owned());
    assert_eq!(run(&[("FAKE_FLAGS", "1")]), fine);
    assert_eq!(run(&[("FAKE_FLAGS", "4"), (BLOCK, "")]), fine);
    // It only costs time if the driver does not take them.
    let refused = [
        ("FAKE_FLAGS", "0"),
        ("FAKE_FAIL", "cuDevicePrimaryCtxSetFlags_v2"),
    ];
    assert_eq!(run(&refused), fine);
}

/// The fake driver refuses what happens outside the part that it is told to expect.
#[test]
fn a_part_of_a_device_is_used_where_the_driver_makes_one() {
    let part = |part: &'static str, asked: &'static str| {
        [
            ("FAKE_CAPABILITY", "90"),
            ("FAKE_PART", part),
            (MULTIPROCESSORS, asked),
        ]
    };
    assert!(describe(&part("8", "8")).starts_with("8 multiprocessors"));
    assert!(describe(&part("24", "17")).starts_with("24 multiprocessors"));
    assert_eq!(run(&part("8", "8")).1, "live 0");
    let (said, live) = run(&part("136", "133"));
    assert!(said.starts_with("Fake 0: make a context: "), "{said}");
    assert_eq!(live, "live 0");
    let old = [("FAKE_VERSION", "12030"), (MULTIPROCESSORS, "8")];
    let expected =
        "Fake 0: driver for CUDA 12.3, expected 12.4 or later to use some of the multiprocessors";
    assert_eq!(run(&old), (expected.into(), "live 0".into()));
    for function in [
        "cuDeviceGetDevResource",
        "cuDevSmResourceSplitByCount",
        "cuDevResourceGenerateDesc",
        "cuGreenCtxCreate",
        "cuCtxFromGreenCtx",
    ] {
        let settings = [
            ("FAKE_FAIL", function),
            ("FAKE_PART", "8"),
            (MULTIPROCESSORS, "8"),
        ];
        let (said, live) = run(&settings);
        assert!(
            said.starts_with("Fake 0: make a context: "),
            "{function}: {said}"
        );
        assert_eq!(live, "live 0", "{function}");
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
