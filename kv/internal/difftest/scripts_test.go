package difftest

import (
	"crypto/sha1" //nolint:gosec // the protocol names scripts by SHA-1
	"encoding/hex"
	"strings"
)

// scripts are what EVAL is given.
var scripts = strings.Split(strings.TrimSpace(`
return 1
return 'text'
return {1,2,{3,'four',false,nil,5},true}
return {1,nil,3}
return 3.99
return -3.99
return true
return false
return nil
return
return {}
return {ok='fine'}
return {err='BAD thing'}
return {err='no code'}
return {double=3.25}
return {map={a=1}}
return {set={a=true}}
return {big_number='123456789012345678901234567890'}
return {verbatim_string={format='txt',string='hello'}}
return redis.status_reply('FINE')
return redis.error_reply('MY error')
return redis.error_reply('-MY error')
return redis.error_reply('lonely')
return KEYS
return ARGV
return {KEYS[1],ARGV[1],KEYS[2],ARGV[2],#KEYS,#ARGV}
return redis.call('SET',KEYS[1],ARGV[1])
return redis.call('GET',KEYS[1])
return redis.pcall('GET',KEYS[1])
return redis.call('INCR',KEYS[1])
return redis.pcall('INCR',KEYS[1])
local r=redis.pcall('INCR',KEYS[1]) if type(r)=='table' then return r.err end return r
return redis.call('LPUSH',KEYS[1],ARGV[1],'b','c')
return redis.call('LRANGE',KEYS[1],0,-1)
return redis.call('HSET',KEYS[1],'f',ARGV[1])
redis.setresp(3) return redis.call('HSET',KEYS[1],'f',ARGV[1])
redis.setresp(3) return redis.call('ZSCORE',KEYS[1],'a')
redis.setresp(3) redis.call('DEL',KEYS[1]) redis.call('HSET',KEYS[1],'f','v') return redis.call('HGETALL',KEYS[1])
redis.setresp(3) redis.call('DEL',KEYS[1]) redis.call('SADD',KEYS[1],'f') return redis.call('SMEMBERS',KEYS[1])
redis.setresp(3) redis.call('DEL',KEYS[1]) redis.call('ZADD',KEYS[1],1.5,'f') return redis.call('ZSCORE',KEYS[1],'f')
redis.setresp(3) redis.call('DEL',KEYS[1]) return tostring(redis.call('GET',KEYS[1]))
redis.call('DEL',KEYS[1]) return tostring(redis.call('GET',KEYS[1]))
redis.setresp(3) redis.call('DEL',KEYS[1]) return redis.call('GET',KEYS[1])
redis.setresp(4)
redis.setresp(1)
redis.setresp()
return redis.call('ZADD',KEYS[1],'nan','x')
return redis.call('NOSUCH',KEYS[1])
return redis.pcall('NOSUCH',KEYS[1])
return redis.call('GET')
return redis.pcall('GET')
return redis.call()
return redis.pcall()
return redis.call('SET',KEYS[1],{})
return redis.call('SET',KEYS[1],true)
return redis.call('SET',KEYS[1],3.5)
return redis.call('SET',KEYS[1],1e20)
return redis.call('SET',KEYS[1],100)
return redis.call('CLIENT','NOSUCH')
return redis.call('CLIENT','GETNAME')
return redis.call('MULTI')
return redis.call('SUBSCRIBE','x')
return redis.call('EVAL','return 1',0)
return redis.call('BLPOP',KEYS[1],0)
return redis.call('SELECT',1)
return redis.call('PING')
return redis.call('ECHO',ARGV[1])
return redis.call('TYPE',KEYS[1])
return redis.call('TYPE',KEYS[1]).ok
return redis.call('OBJECT','ENCODING',KEYS[1])
return redis.call('EXPIREAT',KEYS[1],9999999999)
return redis.call('DEL',unpack(KEYS))
return redis.sha1hex(ARGV[1])
return redis.sha1hex('')
return redis.sha1hex()
return redis.sha1hex(1,2)
return #redis.sha1hex('x')
return redis.log(redis.LOG_DEBUG,'x')
return redis.log('x')
return redis.REPL_ALL
redis.set_repl(redis.REPL_NONE) return redis.call('SET',KEYS[1],'n')
return redis.replicate_commands()
return redis.breakpoint()
return redis.REDIS_VERSION
return redis.REDIS_VERSION_NUM
error('boom')
error({err='TABLE boom'})
error('boom',0)
local x=nil; return x.y
return nosuch
nosuch=1
return _G.print
return tostring(print)
return math.huge
return 0/0
return -0
return 2^53
return 2^63
return -2^63
return tostring(2^53)
return tostring(1e15)
return tostring(1e14)
return tostring(0.1)
return tostring(1/3)
return tostring(100)
return tostring(-0)
return tostring(1/0)
return tostring(0/0)
return tonumber('0x10')
return tonumber('  12  ')
return tonumber('1e2')
return tostring(tonumber('z',36))
return tonumber('zz',36)
return string.format('%5.2f|%d|%s|%q|%x|%c|%g',3.14159,42,'s','q"\n',255,65,1e20)
return string.format('%i %u %o %X %e %%',1,2,8,255,12345.678)
return string.format('%d','x')
return string.rep('ab',3)
return string.sub('hello',2,-2)
return {string.find('hello world','o w')}
return {string.find('a.b','.',1,true)}
return {string.match('key=value','(%w+)=(%w+)')}
return {string.gsub('hello','l','L')}
return {string.byte('abc',1,-1)}
return string.char(0,255,10)
return string.reverse('abc')..string.upper('x')..string.lower('Y')..string.len('zzz')
local t={} for w in string.gmatch('one two','%a+') do t[#t+1]=w end return t
local t={3,1,2} table.sort(t) return t
local t={3,1,2} table.sort(t,function(a,b) return a>b end) return t
return table.concat({1,2,3},',')
local t={1,2} table.insert(t,3) table.insert(t,1,0) return {#t,t[1],table.remove(t),table.remove(t,1)}
return {unpack({1,2,3})}
return select('#',1,2,3)
return {select(2,'a','b','c')}
return type(nil)..type(1)..type('')..type({})..type(print)
return math.floor(3.7)+math.ceil(3.2)+math.abs(-2)+math.max(1,5)+math.min(2,0)
return {math.floor(-3.5),math.fmod(7,3),math.sqrt(16),math.pow(2,10)}
return math.random(1,1)
math.randomseed(1) return math.random(1000000)
return tostring(math.random())
return {pcall(error,'x')}
return {pcall(function() return 1,2 end)}
local ok,e=pcall(redis.call,'INCR') return {tostring(ok),type(e),e.err or e}
local ok,e=pcall(redis.call,'NOSUCH') return type(e)=='table' and e.err or e
return {xpcall(function() error('x') end,function(m) return 'handled' end)}
return cjson.encode({1,2,3})
return cjson.encode({a=1})
return cjson.encode({})
return cjson.encode({a={b={1,2,{c=true}}}})
return cjson.encode('a"b\\c/\n\t\1')
return cjson.encode(1.5)..cjson.encode(1e20)..cjson.encode(100)..cjson.encode(0.1)
return cjson.encode({[1]=1,[3]=3})
return cjson.encode({[1]=1,[20]=3})
return cjson.encode(cjson.null)
return cjson.encode(nil)
return cjson.encode(print)
return cjson.encode(1/0)
return cjson.encode(true)
return cjson.decode('[1,2,{"a":"b"},null,true,1.5]')
return cjson.decode('{"a":[1]}').a
return cjson.decode('{')
return cjson.decode('')
return cjson.decode('nul')
return cjson.decode('"\\u00e9\\ud83d\\ude00"')
return cjson.decode('[1,]')
return tostring(cjson.decode('null')==cjson.null)
return cmsgpack.pack(1,'two',{3},{a=4},true,nil,1.5)
return cmsgpack.pack(-1,-33,-129,127,128,255,256,65536,4294967296,-32769)
return {cmsgpack.unpack(cmsgpack.pack(1,'two',{3}))}
return cmsgpack.pack()
return cmsgpack.unpack('\255\1')
return cmsgpack.unpack('')
return {cmsgpack.unpack_one(cmsgpack.pack(1,2))}
return {cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2)}
return cmsgpack.pack(string.rep('x',300))
return struct.pack('>I2i4bBhHs','1',2,3,4,5,6,'seven')
return {struct.unpack('<I2',struct.pack('<I2',513))}
return struct.size('>I2i4')
return struct.size('d')
return struct.pack('<dfl',1.5,2.5,3)
return struct.pack('c3','ab')
return struct.pack('>!4bi','1',2)
return {struct.unpack('c0','abc')}
return struct.unpack('I4','ab')
return bit.band(255,15)..bit.bor(1,2)..bit.bxor(3,1)..bit.bnot(0)..bit.lshift(1,4)..bit.rshift(256,4)..bit.arshift(-256,4)
return bit.tohex(255)..bit.tohex(-1,4)..bit.tobit(2^32+1)..bit.rol(1,31)..bit.ror(1,1)..bit.bswap(1)
return bit.band()
return bit.band('x')
local a={} for i=1,300 do a[i]=i end return #a
local function f(n) return f(n+1)+1 end return f(1)
local t=setmetatable({},{__index=function() return 'idx' end}) return t.any
return {tostring(rawequal(1,1)),rawget({5},1)}
return os.clock() >= 0
return os.time
return io
return loadstring('return 1+1')()
return load
return dofile
return require
return _VERSION
return collectgarbage('count') > 0
return next({})
local n=0 for k,v in pairs({1,2,3}) do n=n+v end return n
local n=0 for i,v in ipairs({1,2,nil,4}) do n=n+v end return n
return 7%3 .. ' ' .. -7%3 .. ' ' .. 7/2 .. ' ' .. 2^10
return '10'+5
return 10 ..''
return 'a'<'b'
return 1<'2'
return #'abc'+#{1,2}
return not nil and 1 or 2
goto x
return 1 +
return }
local = 1
for i=1,3 do
#!lua flags=no-writes\nreturn redis.call('SET',KEYS[1],'x')
#!lua flags=no-writes\nreturn redis.call('GET',KEYS[1])
#!lua\nreturn 5
#!lua name=x\nreturn 5
#!lua flags=nosuch\nreturn 5
#!python\nreturn 5
#!lua flags=allow-stale,no-writes\nreturn 6
-- comment\nreturn 7
return 1 return 2
return redis.call('SORT',KEYS[1])
return redis.call('XADD',KEYS[1],'*')
return redis.call('GETRANGE',KEYS[1],0,-1)
redis.call('SET',KEYS[1],'1') redis.call('NOSUCH')
redis.call('SET',KEYS[1],'1') error('after')
redis.pcall('SET',KEYS[1],'1','BAD') return 'on'
return redis.acl_check_cmd('GET','x')
return redis.acl_check_cmd('NOSUCH')
return redis.acl_check_cmd()
redis.foo=1
redis.call=nil
KEYS[1]='changed' return KEYS
setmetatable(_G,{}) return 1
rawset(_G,'x',1) return 1
getmetatable('').__index=nil return 1
string.x=1 return 1
return string.x
local t={} t[1]=t return cjson.encode(t)
local t={} t[1]=t return cmsgpack.pack(t) and 1
local t={} t[1]=t return 1
print('x') return 1
return tostring(newproxy)
return debug
return tostring(KEYS):sub(1,6)
return #ARGV[1]
return ARGV[1]..'|'..KEYS[1]
return {1.5,'2.5',-1.9}
return {'a',{'b',{'c'}}}
return '\r\n'
return {ok='a\r\nb'}
return {err='ERR a\r\nb'}
`), "\n")

func (g *grammar) script() string {
	return strings.ReplaceAll(scripts[g.IntN(len(scripts))], `\n`+"return", "\nreturn")
}

func (g *grammar) sha() string {
	sum := sha1.Sum([]byte(g.script())) //nolint:gosec // see the import
	sha := hex.EncodeToString(sum[:])
	if g.IntN(10) == 0 {
		return strings.ToUpper(sha)
	}
	return sha
}
