//! Trees of files as boards have them.

use super::*;
use std::fs;
use tempfile::TempDir;

/// A folder in the place of `/`.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// Writes files below a folder.
    fn put(&self, folder: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.0.path().join(folder).join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.path().join(path)).expect("the file is there");
    }

    fn open(&self) -> Sensors {
        Sensors::open(self.0.path())
    }

    /// What a record says of the sensors after `seconds`.
    fn record(&self, sensors: &mut Sensors, seconds: u64) -> serde_json::Value {
        let reading = sensors.read_at(Duration::from_secs(seconds));
        let view = View {
            names: sensors.names(),
            reading: &reading,
        };
        serde_json::to_value(view).expect("JSON")
    }
}

/// An Orin Nano as JetPack 6 shows it.
fn orin_nano() -> Tree {
    let tree = Tree::new();
    tree.put("sys/class/hwmon/hwmon0", &[("name", "pwm_tach\n")]);
    let files = [
        ("name", "ina3221\n"),
        ("in1_label", "VDD_IN\n"),
        ("in1_input", "5040\n"),
        ("curr1_input", "1200\n"),
        ("in2_label", "VDD_CPU_GPU_CV\n"),
        ("in2_input", "5032\n"),
        ("curr2_input", "250\n"),
        ("in3_label", "VDD_SOC\n"),
        ("in3_input", "5000\n"),
        ("curr3_input", "-8\n"),
        ("in7_label", "sum of shunt voltages\n"),
        ("in7_input", "9\n"),
    ];
    tree.put("sys/class/hwmon/hwmon1", &files);
    let events = [
        ("name", "soctherm_oc\n"),
        ("oc1_event_cnt", "3\n"),
        ("oc2_event_cnt", "0\n"),
        ("oc3_event_cnt", "70\n"),
    ];
    tree.put("sys/class/hwmon/hwmon2", &events);
    let zones = [
        ("cpu-thermal", "48500\n"),
        ("gpu-thermal", "-256000\n"),
        ("tj-thermal", "49000\n"),
    ];
    for (index, (name, temperature)) in zones.into_iter().enumerate() {
        let folder = format!("sys/class/thermal/thermal_zone{index}");
        tree.put(&folder, &[("type", name), ("temp", temperature)]);
    }
    let devices = [
        ("pwm-fan", "2\n"),
        ("cpu-throttle-alert", "0\n"),
        ("hot-surface-alert", "1\n"),
    ];
    for (index, (name, state)) in devices.into_iter().enumerate() {
        let folder = format!("sys/class/thermal/cooling_device{index}");
        tree.put(&folder, &[("type", name), ("cur_state", state)]);
    }
    tree.put("sys/class/devfreq/13e10000.host1x", &[("cur_freq", "1\n")]);
    let gpu = [("cur_freq", "306000000\n"), ("device/load", "421\n")];
    tree.put("sys/class/devfreq/17000000.gpu", &gpu);
    tree
}

#[test]
fn an_orin_nano_is_read_by_names() {
    let tree = orin_nano();
    let mut sensors = tree.open();
    let expected = serde_json::json!({
        "watts": 6.048,
        "rails": [
            {"name": "VDD_IN", "watts": 6.048},
            {"name": "VDD_CPU_GPU_CV", "watts": 1.258},
            {"name": "VDD_SOC", "watts": 0.0},
        ],
        "temperatures": [
            {"name": "cpu-thermal", "celsius": 48.5},
            {"name": "tj-thermal", "celsius": 49.0},
        ],
        "gpu_clock_hz": 306_000_000,
        "gpu_load": 0.421,
        "throttled": ["hot-surface-alert"],
        "over_currents": [
            {"name": "oc1", "events": 0},
            {"name": "oc2", "events": 0},
            {"name": "oc3", "events": 0},
        ],
    });
    assert_eq!(tree.record(&mut sensors, 0), expected);
}

#[test]
fn doctor_says_what_there_is() {
    let mut sensors = orin_nano().open();
    let reading = sensors.measure();
    let view = View {
        names: sensors.names(),
        reading: &reading,
    };
    let expected = [
        "the board draws 6.05 W",
        "VDD_IN 6.05 W, VDD_CPU_GPU_CV 1.26 W, VDD_SOC 0.00 W",
        "cpu-thermal 48.5 °C, tj-thermal 49.0 °C",
        "slowed down by hot-surface-alert",
    ];
    assert_eq!(view.lines(), expected);
    let (names, reading) = (&Names::default(), &Reading::default());
    let view = View { names, reading };
    assert_eq!(view.lines(), ["none that this user can read"]);
}

#[test]
fn readings_follow_the_files() {
    let tree = orin_nano();
    let mut sensors = tree.open();
    tree.put("sys/class/hwmon/hwmon1", &[("curr1_input", "2000\n")]);
    tree.put(
        "sys/class/hwmon/hwmon2",
        &[("oc1_event_cnt", "5\n"), ("oc3_event_cnt", "2\n")],
    );
    tree.put("sys/class/thermal/thermal_zone1", &[("temp", "55000\n")]);
    tree.put("sys/class/thermal/cooling_device1", &[("cur_state", "1\n")]);
    let reading = sensors.read();
    assert_eq!(reading.watts, Some(10.08));
    let view = View {
        names: sensors.names(),
        reading: &reading,
    };
    let temperatures: Vec<_> = view.temperatures().collect();
    assert_eq!(temperatures[1], ("gpu-thermal", 55.0));
    let throttled: Vec<_> = view.throttled().collect();
    assert_eq!(throttled, ["cpu-throttle-alert", "hot-surface-alert"]);
    // The last counter began anew.
    let events: Vec<_> = view.over_currents().collect();
    assert_eq!(events, [("oc1", 2), ("oc2", 0), ("oc3", 2)]);
}

#[test]
fn an_agx_orin_is_the_sum_of_its_rails_under_jetpack_5() {
    let tree = Tree::new();
    let channels = |names: [&str; 3], milliamperes: [&str; 3]| {
        let mut files = vec![("name".to_owned(), "ina3221\n".to_owned())];
        for (index, (name, current)) in names.into_iter().zip(milliamperes).enumerate() {
            let number = index + 1;
            files.push((format!("in{number}_label"), name.into()));
            files.push((format!("in{number}_input"), "5000\n".into()));
            files.push((format!("curr{number}_input"), current.into()));
        }
        files
    };
    let names = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"];
    for (chip, names, currents) in [
        ("hwmon4", names, ["400\n", "200\n", "800\n"]),
        (
            "hwmon3",
            ["NC", "VDDQ_VDD2_1V8AO", "NC"],
            ["9\n", "100\n", "9\n"],
        ),
    ] {
        let files = channels(names, currents);
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        tree.put(&format!("sys/class/hwmon/{chip}"), &files);
    }
    let gpu = [("cur_freq", "1300500000\n"), ("device/load", "1000\n")];
    tree.put("sys/class/devfreq/17000000.ga10b", &gpu);
    tree.put(
        "sys/class/thermal/thermal_zone0",
        &[("type", "GPU-therm"), ("temp", "41250\n")],
    );
    let mut sensors = tree.open();
    let record = tree.record(&mut sensors, 0);
    assert_eq!(record["watts"], 7.0);
    assert_eq!(record["rails"].as_array().map(Vec::len), Some(4));
    assert_eq!(record["gpu_clock_hz"], 1_300_500_000);
    assert_eq!(record["gpu_load"], 1.0);
    assert_eq!(record["temperatures"][0]["celsius"], 41.25);
    // Without one of its rails, nobody knows the sum.
    tree.put("sys/class/hwmon/hwmon4", &[("curr2_input", "garbage")]);
    let record = tree.record(&mut sensors, 1);
    assert!(record["watts"].is_null());
    assert_eq!(record["rails"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_personal_computer_counts_energy() {
    let tree = Tree::new();
    for (zone, name) in [
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:1", "package-1"),
    ] {
        let files = [
            ("name", name),
            ("energy_uj", "90000000\n"),
            ("max_energy_range_uj", "100000000\n"),
        ];
        tree.put(&format!("sys/class/powercap/{zone}"), &files);
    }
    tree.put("sys/class/powercap/intel-rapl", &[("enabled", "1\n")]);
    let chip = [
        ("name", "amdgpu\n"),
        ("power1_average", "31500000\n"),
        ("temp1_input", "51000\n"),
        ("temp1_label", "edge\n"),
    ];
    tree.put("sys/class/hwmon/hwmon0", &chip);
    let mut sensors = tree.open();
    let record = tree.record(&mut sensors, 10);
    assert!(record["watts"].is_null(), "one reading says no power");
    assert_eq!(
        record["rails"],
        serde_json::json!([{"name": "amdgpu", "watts": 31.5}])
    );
    assert_eq!(
        record["temperatures"],
        serde_json::json!([{"name": "amdgpu edge", "celsius": 51.0}])
    );
    tree.put(
        "sys/class/powercap/intel-rapl:0",
        &[("energy_uj", "99000000\n")],
    );
    // It began anew.
    tree.put(
        "sys/class/powercap/intel-rapl:1",
        &[("energy_uj", "6000000\n")],
    );
    let record = tree.record(&mut sensors, 12);
    assert_eq!(record["watts"], 4.5 + 8.0);
    // Where a counter says the whole platform, that counts.
    let platform = [("name", "psys"), ("energy_uj", "0\n")];
    tree.put("sys/class/powercap/intel-rapl:2", &platform);
    let mut sensors = tree.open();
    sensors.read_at(Duration::from_secs(1));
    tree.put(
        "sys/class/powercap/intel-rapl:2",
        &[("energy_uj", "3000000\n")],
    );
    assert_eq!(sensors.read_at(Duration::from_secs(2)).watts, Some(3.0));
}

#[test]
fn what_is_missing_or_garbage_is_left_out() {
    let tree = Tree::new();
    let mut sensors = tree.open();
    assert!(sensors.names().is_empty());
    assert_eq!(sensors.read(), Reading::default());
    let tree = orin_nano();
    tree.remove("sys/class/hwmon/hwmon1/curr1_input");
    tree.remove("sys/class/thermal/thermal_zone0/type");
    tree.remove("sys/class/devfreq/17000000.gpu/device/load");
    tree.put("sys/class/hwmon/hwmon1", &[("in3_input", "five\n")]);
    tree.put(
        "sys/class/thermal/thermal_zone2",
        &[("temp", "999999999\n")],
    );
    tree.put("sys/class/devfreq/17000000.gpu", &[("cur_freq", "-1\n")]);
    let mut sensors = tree.open();
    let record = tree.record(&mut sensors, 0);
    assert!(record["watts"].is_null());
    assert_eq!(
        record["rails"],
        serde_json::json!([{"name": "VDD_CPU_GPU_CV", "watts": 1.258}])
    );
    assert_eq!(record["temperatures"], serde_json::json!([]));
    assert!(record["gpu_clock_hz"].is_null() && record["gpu_load"].is_null());
}

#[test]
fn a_machine_with_more_than_fits_keeps_what_its_power_needs() {
    let tree = Tree::new();
    for number in 0..100 {
        let chip = [
            ("name", "cpu"),
            ("power1_input", "1000000\n"),
            ("temp1_input", "40000\n"),
        ];
        tree.put(&format!("sys/class/hwmon/hwmon{number:03}"), &chip);
    }
    let input = [
        ("name", "ina3221"),
        ("in1_label", "VDD_IN"),
        ("in1_input", "5000"),
        ("curr1_input", "1000"),
    ];
    tree.put("sys/class/hwmon/hwmon999", &input);
    let mut sensors = tree.open();
    let record = tree.record(&mut sensors, 0);
    assert_eq!(record["watts"], 5.0);
    assert_eq!(
        record["rails"].as_array().map(Vec::len),
        Some(reading::RAILS)
    );
    assert_eq!(
        record["temperatures"].as_array().map(Vec::len),
        Some(reading::TEMPERATURES)
    );
}

#[test]
fn the_thread_reads_and_ends() {
    let tree = orin_nano();
    let meter = tree.open().spawn().expect("a thread");
    assert_eq!(meter.latest().watts, Some(6.048));
    assert_eq!(meter.names().rails.len(), 3);
    tree.put("sys/class/hwmon/hwmon1", &[("curr1_input", "2000\n")]);
    while meter.latest().watts != Some(10.08) {
        std::thread::yield_now();
    }
    assert!(meter.joules().is_some_and(|joules| joules > 0.0));
    let reading = meter.latest();
    assert_eq!(meter.view(&reading).rails().next(), Some(("VDD_IN", 10.08)));
    drop(meter);
    let nothing = Tree::new();
    let meter = nothing.open().spawn().expect("a thread");
    assert_eq!((meter.latest().watts, meter.joules()), (None, None));
}
