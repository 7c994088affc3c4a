//! Finds where the images of a Motion JPEG stream begin and end. Such a stream is one image after the other, with
//! nothing between them, or fill bytes.

/// Where in an image the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before an image.
    #[default]
    Outside,
    /// After a 0xff that may begin one.
    OutsideMarker,
    /// Before a marker.
    Header,
    /// Before a marker's second byte.
    Marker,
    /// Before the length of a segment, which a scan's data follows or not.
    Length {
        scan: bool,
    },
    LengthLow {
        scan: bool,
        high: u8,
    },
    /// Within a segment, this many bytes before its end.
    Segment {
        scan: bool,
        left: u16,
    },
    /// Within a scan's data.
    Data,
    /// After a 0xff there.
    DataMarker,
}

/// What a byte is to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Byte {
    /// Between images.
    Between,
    /// Of an image.
    Inside,
    /// An image's last.
    Last,
    /// The second of the next image's: this one has no end.
    Restart,
}

/// Follows a stream byte by byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Splitter {
    place: Place,
}

impl Splitter {
    /// Whether the stream is within an image.
    pub(super) fn is_inside(self) -> bool {
        !matches!(self.place, Place::Outside | Place::OutsideMarker)
    }

    /// Takes the next byte. An image's first byte, 0xff, counts as between images until its second is seen.
    pub(super) fn next(&mut self, byte: u8) -> Byte {
        let (place, is) = match (self.place, byte) {
            (Place::Outside | Place::OutsideMarker, 0xff) => (Place::OutsideMarker, Byte::Between),
            (Place::OutsideMarker, 0xd8) => (Place::Header, Byte::Restart),
            (Place::Outside | Place::OutsideMarker, _) => (Place::Outside, Byte::Between),
            (Place::Header, 0xff) => (Place::Marker, Byte::Inside),
            // No header: the image ends here, and what reads it says so.
            (Place::Header, _) => (Place::Outside, Byte::Last),
            (Place::Marker | Place::DataMarker, 0xd8) => (Place::Header, Byte::Restart),
            (Place::Marker | Place::DataMarker, 0xd9) => (Place::Outside, Byte::Last),
            (Place::Marker, 0xff) => (Place::Marker, Byte::Inside),
            (Place::Marker, 0x01 | 0xd0..=0xd7) => (Place::Header, Byte::Inside),
            (Place::DataMarker, 0xff) => (Place::DataMarker, Byte::Inside),
            (Place::DataMarker, 0 | 0xd0..=0xd7) => (Place::Data, Byte::Inside),
            (Place::Marker | Place::DataMarker, marker) => {
                let scan = marker == 0xda;
                (Place::Length { scan }, Byte::Inside)
            }
            (Place::Length { scan }, high) => (Place::LengthLow { scan, high }, Byte::Inside),
            (Place::LengthLow { scan, high }, low) => {
                let length = u16::from_be_bytes([high, low]);
                (segment(scan, length.saturating_sub(2)), Byte::Inside)
            }
            (Place::Segment { scan, left }, _) => (segment(scan, left - 1), Byte::Inside),
            (Place::Data, 0xff) => (Place::DataMarker, Byte::Inside),
            (Place::Data, _) => (Place::Data, Byte::Inside),
        };
        self.place = place;
        is
    }
}

/// Within a segment, or after it.
fn segment(scan: bool, left: u16) -> Place {
    match (left, scan) {
        (0, true) => Place::Data,
        (0, false) => Place::Header,
        _ => Place::Segment { scan, left },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start and end of each image, and whether it has one.
    fn images(stream: &[u8]) -> Vec<(usize, usize, bool)> {
        let mut splitter = Splitter::default();
        let mut images = Vec::new();
        let mut start = None;
        for (index, byte) in stream.iter().enumerate() {
            match splitter.next(*byte) {
                Byte::Between | Byte::Inside => {}
                Byte::Last => {
                    images.push((start.take().expect("it has a start"), index + 1, true));
                }
                Byte::Restart => {
                    if let Some(start) = start.replace(index - 1) {
                        images.push((start, index - 1, false));
                    }
                }
            }
        }
        assert_eq!(start.is_some(), splitter.is_inside());
        images
    }

    #[test]
    fn images_begin_and_end_where_they_say() {
        // A segment that holds what looks like an image, and data with a stuffed byte and a restart.
        let image =
            b"\xff\xd8\xff\xe1\0\x06\xff\xd8\xff\xd9\xff\xda\0\x03\x01ab\xff\0c\xff\xd0d\xff\xd9";
        assert_eq!(images(image), [(0, image.len(), true)]);
        let mut twice = b"\0\xff\0".to_vec();
        twice.extend(image);
        twice.extend(b"\0\0\xff");
        twice.extend(image);
        let second = 3 + image.len() + 3;
        let both = [
            (3, 3 + image.len(), true),
            (second, second + image.len(), true),
        ];
        assert_eq!(images(&twice), both);
        // One that was cut, before another.
        let mut cut = image[..18].to_vec();
        cut.extend(image);
        assert_eq!(images(&cut), [(0, 18, false), (18, 18 + image.len(), true)]);
        assert_eq!(images(&image[..18]), []);
        assert_eq!(images(b"no image \xff at all"), []);
    }
}
