//! Shorthands that lift a function of one lane to one of a warp.

macro_rules! lift {
    ($kind:ident, [$($x:ident $a:ident),+], $e:expr) => {
        $crate::op::Map::$kind(|$($x),+| {
            std::array::from_fn(|i| { $(let $a = $x[i];)+ $e })
        })
    };
}

/// 32 bits to 32 bits.
macro_rules! w_w { (|$a:ident| $e:expr) => { lift!(WToW, [x $a], $e) }; }
/// 64 bits to 32 bits.
macro_rules! l_w { (|$a:ident| $e:expr) => { lift!(LToW, [x $a], $e) }; }
/// 64 bits to 64 bits.
macro_rules! l_l { (|$a:ident| $e:expr) => { lift!(LToL, [x $a], $e) }; }
/// Two of 32 bits to 32 bits.
macro_rules! ww_w { (|$a:ident, $b:ident| $e:expr) => { lift!(WwToW, [x $a, y $b], $e) }; }
/// Two of 32 bits to 64 bits.
macro_rules! ww_l { (|$a:ident, $b:ident| $e:expr) => { lift!(WwToL, [x $a, y $b], $e) }; }
/// Two of 64 bits to 64 bits.
macro_rules! ll_l { (|$a:ident, $b:ident| $e:expr) => { lift!(LlToL, [x $a, y $b], $e) }; }
/// 64 and 32 bits to 64 bits.
macro_rules! lw_l { (|$a:ident, $b:ident| $e:expr) => { lift!(LwToL, [x $a, y $b], $e) }; }
/// Three of 32 bits to 32 bits.
macro_rules! www_w {
    (|$a:ident, $b:ident, $c:ident| $e:expr) => { lift!(WwwToW, [x $a, y $b, z $c], $e) };
}
/// Two of 32 and one of 64 bits to 64 bits.
macro_rules! wwl_l {
    (|$a:ident, $b:ident, $c:ident| $e:expr) => { lift!(WwlToL, [x $a, y $b, z $c], $e) };
}
/// Three of 64 bits to 64 bits.
macro_rules! lll_l {
    (|$a:ident, $b:ident, $c:ident| $e:expr) => { lift!(LllToL, [x $a, y $b, z $c], $e) };
}
/// One of 64 and two of 32 bits to 64 bits.
macro_rules! lww_l {
    (|$a:ident, $b:ident, $c:ident| $e:expr) => { lift!(LwwToL, [x $a, y $b, z $c], $e) };
}
/// Four of 32 bits to 32 bits.
macro_rules! wwww_w {
    (|$a:ident, $b:ident, $c:ident, $d:ident| $e:expr) => {
        lift!(WwwwToW, [x $a, y $b, z $c, w $d], $e)
    };
}
/// Two of 64 and two of 32 bits to 64 bits.
macro_rules! llww_l {
    (|$a:ident, $b:ident, $c:ident, $d:ident| $e:expr) => {
        lift!(LlwwToL, [x $a, y $b, z $c, w $d], $e)
    };
}
