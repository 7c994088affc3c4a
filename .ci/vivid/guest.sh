#!/bin/busybox sh
# The first process of the machine: loads the driver, runs every scenario, reports on the second serial port, and
# turns the machine off.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw
model=/data/model.mvit
camera=/dev/video0

load() {
    local module
    for module in /modules/*.ko; do
        case $module in
        *vivid*) insmod "$module" n_devs=1 node_types=0x1 num_inputs=1 input_types=0x0 ;;
        *) insmod "$module" 2>/dev/null ;;
        esac
    done
    until [ -e $camera ]; do sleep 0.1; done
}

# report NAME CODE: what is in /tmp/out and /tmp/err.
report() {
    {
        echo "@@ $1 $2"
        cat /tmp/out
        echo "@@-"
        cat /tmp/err
    } >/dev/ttyS1
}

# scenario NAME COMMAND...
scenario() {
    local name=$1
    shift
    "$@" >/tmp/out 2>/tmp/err </dev/null
    report "$name" $?
}

run() {
    mergevit run --model $model --source v4l2:$camera --json "$@"
}

# background ARGUMENT...: starts a run, and waits until it streams.
background() {
    : >/tmp/out
    : >/tmp/err
    # Not through a function, whose shell would be what is signalled.
    mergevit run --model $model --source v4l2:$camera --json "$@" >/tmp/out 2>/tmp/err </dev/null &
    pid=$!
    until grep -q '"frame"' /tmp/out; do
        kill -0 $pid 2>/dev/null || return
        sleep 0.1
    done
}

# finish NAME: ends the run as a service manager would.
finish() {
    kill -TERM $pid 2>/dev/null
    wait $pid
    report "$1" $?
}

lines() {
    grep -c "$1" /tmp/err
}

# press CONTROL: one press of a button of the driver. While nobody can open the device, again.
press() {
    until v4l2-ctl -d $camera -c "$1" 2>/dev/null; do sleep 0.05; done
}

# until_back N: waits until the camera streams for the Nth time since the run began.
until_back() {
    local tries=0
    until [ "$(lines ': streaming: ')" -ge "$1" ] || [ $tries = 200 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
}

open_files() {
    ls /proc/$pid/fd | wc -l
}

load
scenario doctor mergevit doctor --json
scenario controls v4l2-ctl -d $camera -L

scenario default run --max-frames 5
for format in nv12 yuyv uyvy nv21 i420 rgb bgr grey; do
    for size in 320x180 640x360; do
        scenario "$format $size" run --format $format --size $size --max-frames 3
    done
done
scenario "large" run --size 1280x720 --max-frames 3
scenario "rate" run --size 320x180 --fps 15 --max-frames 3
scenario "no such size" run --size 321x181 --max-frames 3
scenario "no such format" run --format mjpeg --max-frames 3

background
before=$(open_files)
count=0
while [ $count -lt 100 ]; do
    press disconnect=1
    count=$((count + 1))
    until_back $count
done
after=$(open_files)
finish "disconnect"
scenario "open files" echo "$before $after"

for control in inject_vidioc_qbuf_error inject_fatal_streaming_error; do
    background
    press $control=1
    until_back 1
    finish "$control"
done
# The camera has to be opened again for these to matter.
for control in inject_vidioc_reqbufs_error inject_vidioc_streamon_error; do
    background
    press $control=1
    press disconnect=1
    until_back 1
    finish "$control"
done

background
press inject_v4l2_buf_flag_error=1
sleep 1
finish "buffer error"

v4l2-ctl -d $camera -c percentage_of_dropped_buffers=50
scenario "dropped" run --max-frames 20
v4l2-ctl -d $camera -c percentage_of_dropped_buffers=100
scenario "all dropped" run --max-frames 20 --stall 1
v4l2-ctl -d $camera -c percentage_of_dropped_buffers=0
v4l2-ctl -d $camera -c wrap_sequence_number=1
scenario "wrapped" run --max-frames 150
v4l2-ctl -d $camera -c wrap_sequence_number=0

rmmod vivid
scenario "absent" run --max-frames 3
: >/tmp/err
mergevit run --model $model --source v4l2:$camera --json --wait --max-frames 3 >/tmp/out 2>/tmp/err </dev/null &
pid=$!
until grep -q waiting /tmp/err; do sleep 0.1; done
load
wait $pid
report "wait" $?

poweroff -f
